"""What one web process has counted, and the page that those of several make.

What a process counts for itself has the process' number as its label `worker`: a sum over processes would fall whenever
one of them ends, and to Prometheus what falls has begun anew as a whole. What all of them know alike, of the engines,
stands there once, as the first of them has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgpack
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Families of samples: `own` of this process alone, `alike` of what every process can tell."""

    own: tuple[Metric, ...]
    alike: tuple[Metric, ...]

    def pack(self) -> bytes:
        data: bytes = msgpack.packb([[_plain(family) for family in families] for families in (self.own, self.alike)])
        return data

    @classmethod
    def unpack(cls, data: bytes) -> Tally:
        """Raises ValueError for what is none."""
        try:
            own, alike = (tuple(_family(*plain) for plain in families) for families in msgpack.unpackb(data))
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected a web process' tally, got something else: {error}") from None
        return cls(own=own, alike=alike)


def page_of(tallies: Mapping[int, Tally], num_unheard: int) -> bytes:
    """Of several web processes by number, one at least; so many more are there that say nothing."""
    families: dict[str, Metric] = {}
    for number, tally in sorted(tallies.items()):
        for told in tally.own:
            family = families.setdefault(told.name, Metric(told.name, told.documentation, told.type))
            for sample in told.samples:
                family.add_sample(sample.name, {**sample.labels, "worker": str(number)}, sample.value)
    return _page((*families.values(), *tallies[min(tallies)].alike), num_unheard)


def page_alone(tally: Tally) -> bytes:
    """Of the only web process that there is: nothing needs its number."""
    return _page((*tally.own, *tally.alike), 0)


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _page(families: Iterable[Metric], num_unheard: int) -> bytes:
    text = "Web processes of which this page says nothing: they do not answer, or are being started."
    return generate_latest(_Families((*families, GaugeMetricFamily("voxwire_workers_unheard", text, num_unheard))))


def _plain(family: Metric) -> list[object]:
    samples = [[sample.name, sample.labels, sample.value] for sample in family.samples]
    return [family.name, family.documentation, family.type, samples]


def _family(name: str, documentation: str, kind: str, samples: Iterable[tuple[str, dict[str, str], float]]) -> Metric:
    family = Metric(name, documentation, kind)
    for sample, labels, value in samples:
        family.add_sample(sample, labels, value)
    return family
