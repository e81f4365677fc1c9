"""VoxCPM (OpenBMB): text in, speech out, one patch of latents at a time; architecture `voxcpm`, that is v1 and v1.5."""
