import numpy as np

from pprofplus_tui.model.facts import read_facts
from pprofplus_tui.model.series import Points


def level(*values):
    data = np.array(values, dtype=float)
    return Points(
        np.arange(len(values), dtype=np.int64) * 1000, data, data, np.zeros(len(values), bool)
    )


def test_growth_of_rss_is_the_sum_of_its_layers():
    facts = read_facts(
        {"rss": level(100, 150), "heap_sys": level(40, 80), "malloc_sys": level(30, 32)}
    )
    assert [(x.label, x.now_bytes, x.growth_bytes) for x in facts.layers] == [
        ("RSS", 150, 50),
        ("Python", 80, 40),
        ("C", 32, 2),
        ("other", 38, 8),
    ]
    assert facts.span_ms == 1000


def test_a_layer_the_log_lacks_is_left_out_and_so_is_the_rest():
    assert [x.label for x in read_facts({"rss": level(1, 2)}).layers] == ["RSS"]


def test_no_points_give_no_facts():
    assert read_facts({"rss": Points.empty()}).layers == ()


def test_the_limit_is_told_with_what_is_used_of_it():
    facts = read_facts({"cgroup_limit": level(1000), "cgroup_used": level(400, 500)})
    assert (facts.limit_bytes, facts.used_bytes) == (1000, 500)
