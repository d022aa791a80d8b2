#include <iostream>
#include <mapseg-shared-memory.hpp>

/* Was: using SharedMemory = QSharedMemory; */
using SharedMemory = mapseg::shared_memory;

int
main(int argc, char **argv)
{
    SharedMemory memory(argc > 1 ? argv[1] : "from-qt");
    if (!memory.create(sizeof(int)) &&
        !(memory.error() == SharedMemory::AlreadyExists && memory.attach())) {
        std::cerr << memory.errorString() << '\n';
        return 1;
    }
    if (!memory.lock())
        return 1;
    if (memory.ownerDied()) /* what QSharedMemory cannot tell */
        memory.setConsistent();
    int number = ++*static_cast<int *>(memory.data());
    memory.unlock();

    std::cout << "visitor " << number << std::endl;
    return std::cout ? 0 : 1;
}
