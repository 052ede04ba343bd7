#!/usr/bin/env python3
"""symbols.py - calls every function of the API through ctypes, see symbols.sh

    symbols.py LIBRARY NAME...

NAME... are the functions that the header declares: each must have been called.
"""
import ctypes as c
import os
import sys

library = c.CDLL(sys.argv[1])
libc = c.CDLL(None)
P, Z, U, I, N = c.c_void_p, c.c_size_t, c.c_uint, c.c_int, None
called = set()


def f(name, result, types, *arguments):
    """Call a function by its plain name."""
    called.add("fpheap_" + name)
    function = getattr(library, "fpheap_" + name)
    function.restype, function.argtypes = result, types
    return function(*arguments)


def check(what):
    if not what:
        raise AssertionError


class PoolDesc(c.Structure):
    _fields_ = [("name", c.c_char_p), ("size", Z), ("align", Z),
                ("construct", P), ("destruct", P), ("arg", P), ("max", Z),
                ("min", Z), ("magazine", U), ("channels", U), ("ranks", U),
                ("node", I), ("private_bytes", Z), ("tag", U),
                ("destructor", U), ("flags", U), ("construct_nth", P)]


room = c.create_string_buffer(4096)      # for what a function writes
memory = c.create_string_buffer(16 << 20)
f("provider_buffer", N, [P, P, P, Z], room, c.byref(room, 1024), memory,
  len(memory))
check(f("provider_mmap", I, [P, U], room, 0) == 0)
forced = f("create", P, [c.c_char_p, P], b"forced", None)
check(f("destroy_forced", I, [P], forced) == 0)
heap = f("create", P, [c.c_char_p, P], b"python", None)
check(heap)

p = f("alloc", P, [P, Z], heap, 100)
check(f("usable_size", Z, [P, P], heap, p) >= 100)
check(f("base_of", P, [P, P], heap, p + 50) == p)
check(f("owns", I, [P, P], heap, p) == 1)
check(f("iova", c.c_uint64, [P, P], heap, p) == 2**64 - 1)
p = f("realloc", P, [P, P, Z], heap, p, 200000)
p = f("aligned_realloc", P, [P, P, Z, Z], heap, p, 4096, 100)
check(p and p % 4096 == 0)
f("free", N, [P, P], heap, p)
f("free_sized", N, [P, P, Z], heap, f("alloc", P, [P, Z], heap, 300), 300)
for p in (f("zalloc", P, [P, Z], heap, 100),
          f("calloc", P, [P, Z, Z], heap, 10, 10),
          f("aligned_alloc", P, [P, Z, Z], heap, 4096, 100),
          f("alloc_on", P, [P, Z, I], heap, 100, 0)):
    check(p)
    f("free", N, [P, P], heap, p)

many = (P * 8)()
bulk = [P, Z, P, U]
check(f("alloc_bulk", I, bulk, heap, 100, many, 8) == 0)
f("free_bulk", N, [P, P, U], heap, many, 8)
check(f("alloc_burst", U, bulk, heap, 100, many, 8) == 8)
f("free_bulk_sized", N, [P, P, U, Z], heap, many, 8, 100)
f("free", N, [P, P], heap, f("alloc_critical", P, [P, Z], heap, 100))
check(f("alloc_critical_bulk", I, bulk, heap, 100, many, 8) == 0)
f("free_bulk", N, [P, P, U], heap, many, 8)
check(f("holders", U, [P, P, U], heap, room, 1) <= 1)

cache = f("self", P, [P], heap)
f("cache_free", N, [P, P], cache, f("cache_alloc", P, [P, Z], cache, 100))
f("cache_free_sized", N, [P, P, Z], cache,
  f("cache_alloc", P, [P, Z], cache, 100), 100)
check(f("cache_alloc_bulk", I, bulk, cache, 100, many, 8) == 0)
f("cache_free_bulk_sized", N, [P, P, U, Z], cache, many, 8, 100)

shown = []
visit = c.CFUNCTYPE(I, P, P)(lambda arg, what: shown.append(what) or 0)
desc = PoolDesc(name=b"python", size=100, private_bytes=8)
pool = f("pool_create", P, [P, P], heap, c.byref(desc))
check(f("pool_lookup", P, [P, c.c_char_p], heap, b"python") == pool)
p = f("pool_get", P, [P], pool)
check(f("pool_for_each", I, [P, I, type(visit), P], pool, 1, visit, None) == 0)
check(shown == [p])
f("pool_put", N, [P, P], pool, p)
f("pool_put", N, [P, P], pool, f("pool_get_critical", P, [P], pool))
check(f("pool_get_bulk", I, [P, P, U], pool, many, 8) == 0)
f("pool_put_bulk", N, [P, P, U], pool, many, 8)
check(f("pool_get_burst", U, [P, P, U], pool, many, 8) == 8)
f("pool_put_bulk", N, [P, P, U], pool, many, 8)
check(f("pool_private", P, [P], pool))
check(f("pool_set_max", I, [P, Z], pool, 1000) == 0)
check(f("pool_prefill", I, [P, U], pool, 2) == 0)
f("pool_stats_get", N, [P, P], pool, room)
f("pool_stats_get_sized", N, [P, P, Z], pool, room, len(room))
check(f("pool_destroy", I, [P, P], pool, None) == 0)



class Mark(c.Structure):
    _fields_ = [("group", P), ("at", P), ("end", P), ("pieces", P),
                ("endings", P)]


cleaned = []
clean = c.CFUNCTYPE(N, P)(cleaned.append)
group = f("group_begin", P, [P], heap)
check(group and f("group_alloc", P, [P, Z], group, 100))
check(f("group_aligned", P, [P, Z, Z], group, 4096, 100) % 4096 == 0)
mark = f("group_mark", Mark, [P], group)
check(f("group_cleanup", I, [P, type(clean), P], group, clean, 7) == 0)
f("group_rewind", N, [P, Mark], group, mark)
check(cleaned == [7])
check(f("group_adopt", I, [P, P], group, f("alloc", P, [P, Z], heap, 100)) == 0)
f("group_end", N, [P], group)

ended = []
end = c.CFUNCTYPE(I, P, P)(lambda arg, what: ended.append(what) or 0)
p = f("alloc_tagged", P, [P, Z, U], heap, 100, 3)
check(f("requested", Z, [P], p) == 100 and f("tag", U, [P], p) == 3)
check(f("tag_stats_get", I, [P, U, P], heap, 3, room) == 0)
check(f("tag_stats_get_sized", I, [P, U, P, Z], heap, 3, room, len(room)) == 0)
f("set_flags", N, [P, U], p, 9)
check(f("flags", U, [P], p) == 9)
number = f("destructor_register", I, [type(end), P], end, None)
check(f("set_destructor", I, [P, U], p, number) == 0)
f("ref", N, [P], p)
check(f("refs", U, [P], p) == 2)
f("unref", N, [P, P], heap, p)
f("unref", N, [P, P], heap, p)
check(ended == [p])

check(f("reserve", I, [P, Z, I], heap, 100000, 0) == 0)
check(f("prefill", I, [P, Z, U], heap, 100, 8) == 0)
f("set_limit", N, [P, Z], heap, 1 << 30)
f("stats_get", N, [P, P], heap, room)
f("stats_get_sized", N, [P, P, Z], heap, room, len(room))
check(f("class_stats_get", I, [P, U, P], heap, 0, room) == 0)
check(f("class_stats_get_sized", I, [P, U, P, Z], heap, 0, room,
        len(room)) == 0)
check(f("walk", I, [P, type(visit), P], heap, visit, None) == 0)
check(f("region_walk", I, [P, type(visit), P], heap, visit, None) == 0)
check(f("check", c.c_char_p, [P], heap) is None)
libc.fopen.restype = P
f("dump", N, [P, P], heap, libc.fopen(b"/dev/null", b"w"))
check(b"FPHEAP_EXPORT=1" in f("config_string", c.c_char_p, []))
f("flush", N, [P], heap)
f("trim", Z, [P], heap)
f("thread_leave", N, [P], heap)
check(f("destroy", I, [P], heap) == 0)



class Partition(c.Structure):
    _fields_ = [("bytes", Z), ("directory", c.c_char_p), ("descriptor", I),
                ("offset", Z), ("page_bytes", Z), ("address", P), ("mode", U),
                ("node", I), ("flags", U), ("iova", P), ("ctx", P)]


name = b"symbols-%d" % os.getpid()
heap = f("open", P, [c.c_char_p, P, U], name, c.byref(Partition(64 << 20)), 1)
check(heap)
p = f("alloc", P, [P, Z], heap, 100)
check(f("object_at", P, [P, c.c_uint32], heap,
        f("handle", c.c_uint32, [P, P], heap, p)) == p)
check(f("set_root", I, [P, P], heap, p) == 0)
check(f("root", P, [P], heap) == p)
f("own", N, [P, P], heap, p)
check(f("owner", c.c_uint32, [P], p) != 0)
check(f("members", I, [P, type(visit), P], heap, visit, None) == 0)
check(f("recover", I, [P, U], heap, 0) == 0)
check(f("pool_open", P, [P, P], heap,
        c.byref(PoolDesc(name=b"pool", size=100))))
check(f("close", I, [P], heap) == 0)
check(f("unlink", I, [c.c_char_p, P], name, None) == 0)

missed = set(sys.argv[2:]) ^ called
if missed:
    sys.exit("declared or called only: " + " ".join(sorted(missed)))
