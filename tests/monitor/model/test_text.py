import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.text import cell_width, clean

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)


def test_escape_sequences_become_visible():
    assert clean("\x1b[31mred") == "\\x1b[31mred"


def test_c1_controls_become_visible():
    assert clean("a\x9bb") == "a\\x9bb"


def test_bidi_overrides_and_zero_width_characters_become_visible():
    assert clean("a\u202eb\u2066c\u200bd") == "a\\u202eb\\u2066c\\u200bd"


def test_line_ends_stay_on_the_line():
    assert clean("a\nb\r\u2028\u2029") == "a\\x0ab\\x0d\\u2028\\u2029"


def test_a_lone_surrogate_becomes_visible():
    assert clean("\ud800") == "\\ud800"


def test_brackets_and_letters_stay_as_they_are():
    assert clean("[bold]Größe 数[/]") == "[bold]Größe 数[/]"


def test_a_decomposed_letter_is_composed():
    assert clean("u\u0308") == "ü"


def test_many_combining_marks_cannot_draw_over_other_lines():
    assert clean("a" + "\u0300" * 3).count("\u0300") == 0


def test_a_cut_is_shown_by_an_ellipsis_within_the_limit():
    assert clean("abcdefgh", 5) == "abcd…"
    assert clean("abcdefgh", 5, ascii_only=True) == "abcd~"
    assert clean("abcde", 5) == "abcde"


def test_a_wide_character_is_not_cut_in_half():
    assert clean("数数数", 4) == "数…"


def test_without_room_the_text_is_empty():
    assert clean("abc", 0) == ""


@given(ANY_TEXT, st.one_of(st.none(), st.integers(-1, 30)))
def test_cleaned_text_has_nothing_unsafe_and_respects_its_limit(text, limit):
    shown = clean(text, limit)
    shown.encode("utf-8")
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp", "Mn"}
    if limit is not None:
        assert cell_width(shown) <= max(limit, 0)


@given(ANY_TEXT)
def test_the_ascii_form_is_ascii(text):
    assert clean(text, 20, ascii_only=True).isascii()


def test_text_that_is_cut_off_is_not_processed():
    marks = "\u0301\u0323"
    # ordering so many combining marks takes minutes
    assert clean("a" + marks * 500_000, 4) == "\u1ea1…"


@given(ANY_TEXT, st.integers(1, 12))
def test_a_cut_text_is_a_prefix_of_the_whole_cleaned_text(text, limit):
    whole = clean(text)
    cut = clean(text, limit)
    assert cut == whole or (cut[-1] == "…" and whole.startswith(cut[:-1]))
    assert cell_width(cut) <= limit


def test_the_most_that_are_composed_into_one_character_are_kept_together():
    assert clean("\u1f83" * 2, 2) == "\u1f83" * 2
    assert clean(unicodedata.normalize("NFD", "\u1f83") * 2, 2) == "\u1f83" * 2
