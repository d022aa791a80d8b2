import mmap
import struct
import sys

with open(sys.argv[1], "rb") as file:
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

magic, version, _, offset, size, flags = struct.unpack_from("=8sIIQQQ", memory)
if magic != b"\x89MAPSEG\n" or version != 1:
    sys.exit("this is no segment of format 1")
if flags & 0xFFFE:
    sys.exit("the segment has flags that this program does not know")
if offset + size > len(memory):
    sys.exit("the file is shorter than its header says")

sys.stdout.buffer.write(memory[offset : offset + size])
