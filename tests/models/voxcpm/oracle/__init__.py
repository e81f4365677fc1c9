"""The official implementation (the wheel `voxcpm`), asked in a process of its own, and what it once answered."""
