"""Page bodies in numpy: decodes the streams of many pages in one pass.

The results are equal to those of `pprofplus.log.format.read_data_page`, which is the reference. All
arithmetic is modulo 2**64, as in the format, so sums over several streams can share one cumsum.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pprofplus.log.format import COLUMNS_OFFSET
from pprofplus_tui.model.points import Bools, Ints
from pprofplus_tui.sources.local.page_index import HEAD_DTYPE

_Bytes = npt.NDArray[np.uint8]
_Tokens = npt.NDArray[np.uint64]
_MAX_MORE_BYTES = 9  # ten bytes hold 64 bits
_ONE = np.uint64(1)


class PageBatch:
    """Data pages of one schema, read whole and verified by their CRCs.

    Attributes:
        fixed: the fixed part of each head, HEAD_DTYPE, shape (pages,).
        first: first values, shape (pages, columns).
    """

    def __init__(self, pages: Sequence[bytes], columns: int) -> None:
        self._pages = pages
        count = len(pages)
        values_end = COLUMNS_OFFSET + 24 * columns
        self.fixed = np.frombuffer(b"".join([p[:COLUMNS_OFFSET] for p in pages]), HEAD_DTYPE)
        first = b"".join([p[COLUMNS_OFFSET : COLUMNS_OFFSET + 8 * columns] for p in pages])
        self.first = np.frombuffer(first, "<i8").reshape(count, columns)
        lengths = b"".join([p[values_end : values_end + 2 * (columns + 1)] for p in pages])
        self._lengths = np.frombuffer(lengths, "<u2").reshape(count, columns + 1).astype(np.int64)
        ends = np.cumsum(self._lengths, axis=1) + self.fixed["head_length"][:, None]
        self._starts = ends - self._lengths
        # indexed heads fit their pages, but the file may have been replaced since
        self._overlong = ends[:, -1] > self.fixed["length"]
        self._lengths[self._overlong] = 0

    def times(self) -> tuple[Ints, Bools]:
        """Return (monotonic ms of all samples, page after page, and which pages are bad).

        Shapes (samples of all pages,) and (pages,). The samples of a bad page are undefined.
        """
        fixed = self.fixed
        counts = fixed["samples"].astype(np.int64)
        pages = np.arange(len(fixed))
        values, bad = self._decode(
            pages, np.zeros_like(pages), fixed["first_mono_ms"], fixed["interval_ms"]
        )
        some = counts > 0
        ends = np.cumsum(counts)
        wrong_end = values[ends[some] - 1] != fixed["last_mono_ms"][some]
        bad[np.flatnonzero(some)[wrong_end]] = True
        bad |= self._overlong
        back = values[1:] < values[:-1]
        back[ends[:-1][(ends[:-1] > 0) & (ends[:-1] < len(values))] - 1] = False
        if back.any():
            bad[np.searchsorted(ends, np.flatnonzero(back), side="right")] = True
        return values, bad

    def columns(self, pages: Ints, columns: Ints) -> tuple[Ints, Bools]:
        """Return (the values of all streams in order, and which streams are bad).

        Stream i is column `columns[i]` of page `pages[i]` and has that page's samples. Shapes
        (samples of all streams,) and (streams,). The values of a bad stream are undefined.
        """
        values, bad = self._decode(pages, columns + 1, self.first[pages, columns], None)
        return values, bad | self._overlong[pages]

    def _decode(
        self, pages: Ints, streams: Ints, firsts: Ints, steps: npt.NDArray[np.uint32] | None
    ) -> tuple[Ints, Bools]:
        counts = self.fixed["samples"][pages].astype(np.int64)
        # the streams of a page without samples are ignored
        lengths = np.where(counts > 0, self._lengths[pages, streams], 0)
        starts = self._starts[pages, streams]
        whole = self._pages
        data = b"".join(
            [
                whole[page][start:end]
                for page, start, end in zip(
                    pages.tolist(), starts.tolist(), (starts + lengths).tolist(), strict=True
                )
            ]
        )
        return decode_streams(data, lengths, counts, firsts, steps)


def decode_streams(
    data: bytes,
    lengths: Ints,
    counts: Ints,
    firsts: Ints,
    steps: npt.NDArray[np.uint32] | None = None,
) -> tuple[Ints, Bools]:
    """Return (values, bad) of streams that are concatenated in `data`.

    All arguments have shape (streams,): `lengths` in bytes, `counts` samples, the first of which
    has the value `firsts`; `steps` is added to each difference. `values` has shape
    (sum(counts),) for any bytes; `bad` marks the malformed streams.
    """
    bad = np.zeros(len(lengths), np.bool_)
    out = np.zeros(int(counts.sum()), np.int64)
    out_ends = np.cumsum(counts)
    out_starts = out_ends - counts
    sums = np.zeros(len(lengths), np.int64)
    raw = np.frombuffer(data, np.uint8)
    if len(raw):
        raw, lengths = _without_cut_streams(raw, lengths, bad)
    if len(raw):
        at, deltas, per_stream = _differences(raw, lengths, counts, out_starts, bad)
        out[at] = deltas
        running = np.zeros(len(deltas) + 1, np.int64)
        np.cumsum(deltas, out=running[1:])
        ends = np.cumsum(per_stream)
        sums = running[ends] - running[ends - per_stream]
    some = counts > 0
    if steps is not None:
        wide = steps.astype(np.int64)
        out += np.repeat(wide, counts)
        sums += wide * np.maximum(counts - 1, 0)
    if len(out):
        # One cumsum for all: a stream begins with the difference from the end of the previous one.
        begin = firsts[some].astype(np.int64)
        end = begin + sums[some]
        begin[1:] -= end[:-1]
        out[out_starts[some]] = begin
        np.cumsum(out, out=out)
    return out, bad


def _without_cut_streams(raw: _Bytes, lengths: Ints, bad: Bools) -> tuple[_Bytes, Ints]:
    """Mark and remove streams that end within a number, which would continue in the next."""
    some = np.flatnonzero(lengths)
    last = np.cumsum(lengths)[some] - 1
    cut = some[raw[last] > 0x7F]  # the continuation bit
    if not len(cut):
        return raw, lengths
    bad[cut] = True
    raw = raw[np.repeat(~bad, lengths)]
    return raw, np.where(bad, 0, lengths)


def _tokens(raw: _Bytes, ends: Ints) -> tuple[_Tokens, Ints, Ints]:
    """Return (varints modulo 2**64, which are wider than 64 bits, which are too long)."""
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    low = raw & 0x7F
    tokens = low.take(starts).astype(np.uint64)
    more = ends - starts
    left = np.flatnonzero(more)
    for k in range(1, _MAX_MORE_BYTES + 1):
        if not len(left):
            break
        part = low.take(starts.take(left) + k).astype(np.uint64)
        tokens[left] += part << np.uint64(7 * k)
        if k == _MAX_MORE_BYTES:
            return tokens, left[part > 1], left[more[left] > k]
        left = left[more.take(left) > k]
    return tokens, left[:0], left[:0]


def _markers(zero: Bools, stream_starts: Ints) -> Ints:
    """Return the tokens that begin a sequence of zeros; `zero` marks the tokens that are 0.

    Of consecutive zero tokens in a stream, every second one is the length of a sequence.
    """
    if not (zero[1:] & zero[:-1]).any():
        return np.flatnonzero(zero)
    group = zero.copy()
    group[1:] &= ~zero[:-1]
    group[stream_starts] |= zero[stream_starts]
    index = np.arange(len(zero))
    place = index - np.maximum.accumulate(np.where(group, index, 0))
    return np.flatnonzero(zero & (place % 2 == 0))


def _differences(
    raw: _Bytes, lengths: Ints, counts: Ints, out_starts: Ints, bad: Bools
) -> tuple[Ints, Ints, Ints]:
    """Return (positions in the output, nonzero differences, number of them in each stream).

    Bad streams are marked in `bad` and have none.
    """
    ends = np.flatnonzero(raw < 0x80)  # the continuation bit
    token_ends = np.searchsorted(ends, np.cumsum(lengths))
    per_stream = np.diff(token_ends, prepend=0)
    token_starts = token_ends - per_stream
    tokens, wide, overlong = _tokens(raw, ends)

    def stream_of(places: Ints) -> Ints:
        return np.searchsorted(token_ends, places, side="right")

    bad[stream_of(overlong)] = True
    zero = tokens == 0
    zero[wide] = False
    markers = _markers(zero, token_starts[per_stream > 0])
    length_tokens = markers + 1
    of_marker = stream_of(markers)
    unfinished = length_tokens == token_ends[of_marker]
    if unfinished.any():
        bad[of_marker[unfinished]] = True
        length_tokens, of_marker = length_tokens[~unfinished], of_marker[~unfinished]
    zeros = tokens[length_tokens]
    absurd = zeros > counts[of_marker].astype(np.uint64)
    if len(wide):
        absurd |= np.isin(length_tokens, wide)
    bad[of_marker[absurd]] = True
    emits = np.ones(len(tokens), np.int64)
    emits[markers] = 0
    emits[length_tokens] = np.where(absurd, np.uint64(0), zeros).astype(np.int64)
    place = np.zeros(len(tokens) + 1, np.int64)
    np.cumsum(emits, out=place[1:])
    before = place[token_starts]
    bad |= (place[token_ends] - before > counts - 1) & (per_stream > 0)

    is_delta = np.ones(len(tokens), np.bool_)
    is_delta[markers] = False
    is_delta[length_tokens] = False
    if bad.any():
        is_delta &= ~np.repeat(bad, per_stream)
    at = (place[1:] + np.repeat(out_starts - before, per_stream))[is_delta]
    kept = tokens[is_delta]
    sign = np.negative((kept & _ONE).view(np.int64))
    kept >>= _ONE
    deltas = kept.view(np.int64)
    deltas ^= sign
    streams = len(lengths)
    per_stream -= np.bincount(stream_of(markers), minlength=streams)
    per_stream -= np.bincount(of_marker, minlength=streams)
    per_stream[bad] = 0
    return at, deltas, per_stream
