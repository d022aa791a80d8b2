key=hello
slug=$(printf %s "$key" | head -c 32 | LC_ALL=C tr -c A-Za-z0-9._- _)
hash=$(printf %s "$(id -u):$key" | xxhsum -H128 | cut -c 1-32)
echo "/dev/shm/mapseg-$slug-$hash"
