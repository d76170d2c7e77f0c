"""Images by row, wherever they lie: on the device, in a memory map, or encoded in shards."""
