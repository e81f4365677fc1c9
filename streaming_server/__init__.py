"""The speech server: sockets, tasks, processes, clock, configuration."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("voxwire")
except PackageNotFoundError:  # run from the tree
    __version__ = "0.1.0"
