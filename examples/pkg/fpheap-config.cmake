# find_package(fpheap) gives the target fpheap::fpheap, which is a header only.
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)

if(NOT TARGET fpheap::fpheap)
    get_filename_component(fpheap_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.."
                           ABSOLUTE)
    add_library(fpheap::fpheap INTERFACE IMPORTED)
    set_target_properties(fpheap::fpheap PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${fpheap_prefix}/include"
        INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
