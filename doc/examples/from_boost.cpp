#include <iostream>
#include <mapseg.hpp>
#include <mutex>

struct counter {
    long visitors;
};

int
main(int argc, char **argv)
try {
    /* Was: a managed_shared_memory with find_or_construct, and an interprocess_mutex in it. */
    mapseg::segment seg(mapseg::create_or_attach, argc > 1 ? argv[1] : "from-boost",
                        sizeof(counter));
    seg.on_owner_died([](mapseg::segment &dead) { dead.as<counter>().visitors = 0; });
    long number;
    {
        std::scoped_lock lock(seg); /* was: scoped_lock<interprocess_mutex> lock(mutex); */
        number = ++seg.as<counter>().visitors;
    }
    std::cout << "visitor " << number << std::endl;
    return std::cout ? 0 : 1;
} catch (const mapseg::error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
