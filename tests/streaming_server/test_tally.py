"""What web processes counted, on one page."""

from __future__ import annotations

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from streaming_server.tally import Tally, page_alone, page_of


def errors(**num_by_code: float) -> Metric:
    family = CounterMetricFamily("voxwire_errors", "Errors told to clients.", labels=["code"])
    for code, num in num_by_code.items():
        family.add_metric([code], num)
    return family


def tally(num_streams: float = 3, **num_by_code: float) -> Tally:
    delays = HistogramMetricFamily("voxwire_delay", "So late.", [("0.1", 1), ("+Inf", 2)], 0.5)
    streams = GaugeMetricFamily("voxwire_host_streams", "Utterances it has.", num_streams)
    return Tally(own=(errors(**num_by_code), delays), alike=(streams,))


def lines_of(page: bytes) -> list[str]:
    return [line for line in page.decode().splitlines() if not line.startswith("#")]


def test_what_each_counts_has_its_number_and_what_all_know_is_told_once_as_the_first_has_it() -> None:
    tallies = {2: tally(num_streams=9, busy=1), 1: tally(num_streams=7, busy=4, timeout=2)}
    assert lines_of(page_of(tallies, 1)) == [
        'voxwire_errors_total{code="busy",worker="1"} 4.0',
        'voxwire_errors_total{code="timeout",worker="1"} 2.0',
        'voxwire_errors_total{code="busy",worker="2"} 1.0',
        *(
            f"voxwire_delay{sample}"
            for number in (1, 2)
            for sample in (
                f'_bucket{{le="0.1",worker="{number}"}} 1.0',
                f'_bucket{{le="+Inf",worker="{number}"}} 2.0',
                f'_count{{worker="{number}"}} 2.0',
                f'_sum{{worker="{number}"}} 0.5',
            )
        ),
        "voxwire_host_streams 7.0",
        "voxwire_workers_unheard 1.0",
    ]


def test_who_is_alone_needs_no_number() -> None:
    page = page_alone(tally(busy=1))
    assert 'voxwire_errors_total{code="busy"} 1.0' in lines_of(page)
    assert b"worker=" not in page
    assert lines_of(page)[-1] == "voxwire_workers_unheard 0.0"


def test_a_tally_is_the_same_after_it_was_sent() -> None:
    sent = tally(busy=float("inf"), timeout=0.1)
    assert Tally.unpack(sent.pack()) == sent


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x91\x90", b"\x92\x01\x01", b"\x92\x91\x01\x90", b"\xc1"])
def test_what_is_no_tally_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="tally"):
        Tally.unpack(data)
