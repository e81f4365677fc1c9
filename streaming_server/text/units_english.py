"""Units of measure and what they are called in English."""

from __future__ import annotations

_TABLE = """
nm nanometer|µm micrometer|um micrometer|mm millimeter|cm centimeter|dm decimeter|m meter|km kilometer
mi mile|ft foot|yd yard|in inch|mph mile per hour
kph kilometer per hour|km/h kilometer per hour|kmh kilometer per hour
m/s meter per second|km/s kilometer per second|m/s² meter per second squared
mg milligram|µg microgram|g gram|kg kilogram
lb pound|lbs pound|oz ounce|t ton|ml milliliter|mL milliliter|cl centiliter|dl deciliter|l liter|L liter|gal gallon
ns nanosecond|µs microsecond|us microsecond|ms millisecond|s second|sec second|secs second|min minute|mins minute
h hour|hr hour|hrs hour|Hz hertz|kHz kilohertz|MHz megahertz|GHz gigahertz|THz terahertz
KB kilobyte|kB kilobyte|MB megabyte|GB gigabyte|TB terabyte|PB petabyte|KiB kibibyte|MiB mebibyte|GiB gibibyte
kbps kilobit per second|Kbps kilobit per second|Mbps megabit per second|Gbps gigabit per second
kbit/s kilobit per second|Mbit/s megabit per second|Gbit/s gigabit per second
kB/s kilobyte per second|KB/s kilobyte per second|MB/s megabyte per second|GB/s gigabyte per second
W watt|kW kilowatt|MW megawatt|GW gigawatt|kWh kilowatt hour|V volt|kV kilovolt|mV millivolt|A amp|mA milliamp
mAh milliamp hour|J joule|kJ kilojoule|cal calorie|kcal kilocalorie|N newton|Pa pascal|hPa hectopascal|kPa kilopascal
MPa megapascal|bar bar|psi P S I|dB decibel|rpm R P M|fps frame per second|px pixel|dpi D P I|ppm part per million
m² square meter|m2 square meter|km² square kilometer|km2 square kilometer|cm² square centimeter|ft² square foot
tbsp tablespoon|tsp teaspoon|m³ cubic meter|m3 cubic meter|cm³ cubic centimeter|sqft square foot|ha hectare
°C degree Celsius|℃ degree Celsius|°F degree Fahrenheit|℉ degree Fahrenheit|° degree
"""
_NAMES = dict(row.split(" ", 1) for line in _TABLE.strip().splitlines() for row in line.split("|"))
_IRREGULAR = {"foot": "feet", "inch": "inches"}
_NO_PLURAL = frozenset(("hertz", "kilohertz", "megahertz", "gigahertz", "terahertz"))

SYMBOLS = sorted(_NAMES, key=len, reverse=True)
"""Longest first, as an alternation of a regular expression wants them."""


def unit_name(symbol: str, *, plural: bool) -> str:
    """As in "kilometers per hour". Raises KeyError for what is not in SYMBOLS."""
    name = _NAMES[symbol]
    if not plural:
        return name
    words = name.split(" ")
    # The noun takes the plural: "square meters", "degrees Celsius", "kilometers per hour", "kilowatt hours".
    noun = 1 if words[0] in ("square", "cubic", "kilowatt", "milliamp") and len(words) > 1 else 0
    if len(words[noun]) > 1 and words[noun] not in _NO_PLURAL:
        words[noun] = _IRREGULAR.get(words[noun], f"{words[noun]}s")
    return " ".join(words)
