/* test_telemetry.c - what telemetry says of a heap is what fpheap_stats_get
 * says, and heaps come and go beside a client.  A raw client on the socket, and
 * DPDK's own where it is installed.  Telemetry's directory is named after the
 * process, so that several of them may run.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "tests/test_util.h"
#include "examples/dpdk/fpheap_memzone.h"
#include "examples/dpdk/fpheap_telemetry.h"
#include "eal.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

static char            prefix[64];
static char            answer[65536];
static fpheap_memzone  zones;
static fpheap_provider provider;

static fpheap *
heap_of(const char *name)
{
    fpheap_config config = { .provider = &provider };
    fpheap       *heap;

    fpheap_memzone_provider(&provider, &zones, name, 1);
    heap = fpheap_create(name, &config);
    assert_non_null(heap);
    return heap;
}

static int
connect_to_telemetry(void)
{
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    snprintf(where.sun_path, sizeof where.sun_path, "%s/dpdk_telemetry.v2",
             rte_eal_get_runtime_dir());
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&where, sizeof where) != 0
        || read(fd, answer, sizeof answer) <= 0) { /* its greeting */
        close(fd);
        return -1;
    }
    return fd;
}

static const char *
ask(int fd, const char *command)
{
    ssize_t got;

    assert_int_equal(write(fd, command, strlen(command)), strlen(command));
    got = read(fd, answer, sizeof answer - 1);
    assert_true(got > 0);
    answer[got] = '\0';
    return answer;
}

/* The number behind "name": in the last answer. */
static uint64_t
number_of(const char *name)
{
    char        quoted[64];
    const char *at;

    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    at = strstr(answer, quoted);
    if (at == NULL)
        print_error("no %s in %s\n", quoted, answer);
    assert_non_null(at);
    return strtoull(at + strlen(quoted), NULL, 10);
}

static void
stats_are_those_of_the_heap(void **state)
{
    fpheap      *heap = heap_of("packets");
    int          fd = connect_to_telemetry();
    void        *objects[300];
    fpheap_stats s;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fpheap_alloc_bulk(heap, 2048, objects, 300), 0);
    assert_int_equal(fpheap_telemetry_add(heap, "packets"), 0);
    assert_string_equal(ask(fd, "/fpheap/list"),
                        "{\"/fpheap/list\":[\"packets\"]}");
    fpheap_stats_get(heap, &s);
    ask(fd, "/fpheap/stats,packets");
    print_message("figure: %s\n", answer);
    assert_int_equal(number_of("live_objects"), 300);
    assert_int_equal(number_of("live_bytes"), 300 * 2048);
    assert_int_equal(number_of("region_bytes"), s.region_bytes);
    assert_int_equal(number_of("parked_bytes"), s.parked_bytes);
    assert_int_equal(number_of("metadata_bytes"), s.metadata_bytes);
    assert_int_equal(number_of("record_bytes"), s.record_bytes);
    assert_int_equal(number_of("regions"), s.regions);
    assert_int_equal(number_of("pages_bytes") + number_of("hugetlb_bytes"),
                     s.region_bytes);

    ask(fd, "/fpheap/classes,packets");
    print_message("figure: %s\n", answer);
    assert_non_null(strstr(answer, "\"2048\":{\"slabs\":"));
    assert_int_equal(number_of("live_objects"), 300);
    assert_non_null(strstr(ask(fd, "/fpheap/stats,other"), "null"));
    assert_non_null(strstr(ask(fd, "/fpheap/stats"), "null"));

    fpheap_telemetry_remove(heap);
    assert_string_equal(ask(fd, "/fpheap/list"), "{\"/fpheap/list\":[]}");
    fpheap_free_bulk(heap, objects, 300);
    TEST_DESTROY(heap);
    close(fd);
}

static void
dpdks_own_client_shows_them(void **state)
{
    fpheap *heap = heap_of("shown");
    void   *object = fpheap_alloc(heap, 1000);
    char    command[256];
    char    line[4096] = "";
    int     found = 0;
    FILE   *client;

    (void)state;
    assert_int_equal(fpheap_telemetry_add(heap, "shown"), 0);
    snprintf(command, sizeof command, "command -v dpdk-telemetry.py >&2 &&"
             " printf '/fpheap/stats,shown\\nquit\\n' |"
             " dpdk-telemetry.py -f %s", prefix);
    client = popen(command, "r");
    assert_non_null(client);
    while (fgets(line, sizeof line, client) != NULL)
        found |= strstr(line, "live_objects\": 1") != NULL;
    if (pclose(client) != 0) {
        print_message("why: dpdk-telemetry.py is not installed\n");
        found = -1;
    }
    fpheap_telemetry_remove(heap);
    fpheap_free(heap, object);
    TEST_DESTROY(heap);
    if (found < 0)
        skip();
    assert_int_equal(found, 1);
}

static void
what_cannot_be_shown_is_an_error(void **state)
{
    char    name[40];
    fpheap *heap = heap_of("errors");
    int     i;

    (void)state;
    assert_int_equal(fpheap_telemetry_add(heap, ""), -EINVAL);
    assert_int_equal(fpheap_telemetry_add(heap, "a,b"), -EINVAL);
    assert_int_equal(fpheap_telemetry_add(heap, "thirty-two characters are too "
                                          "many"), -EINVAL);
    assert_int_equal(fpheap_telemetry_add(heap, "0"), 0);
    assert_int_equal(fpheap_telemetry_add(heap, "0"), -EEXIST);
    for (i = 1; i < FPHEAP_MAX_HEAPS; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(fpheap_telemetry_add(heap, name), 0);
    }
    assert_int_equal(fpheap_telemetry_add(heap, "more"), -ENOSPC);
    fpheap_telemetry_remove(heap);
    assert_int_equal(fpheap_telemetry_add(heap, "more"), 0);
    fpheap_telemetry_remove(heap);
    TEST_DESTROY(heap);
}

/* An answer with every class in it: it must fit what telemetry sends. */
static void
all_classes_fit_one_answer(void **state)
{
    fpheap_class_stats c;
    fpheap  *heap = heap_of("classes");
    void    *objects[FPH_SIZES];
    int      fd = connect_to_telemetry();
    unsigned n = 0;

    (void)state;
    assert_true(fd >= 0);
    while (n < FPH_SIZES && fpheap_class_stats_get(heap, n, &c) == 0) {
        assert_non_null(objects[n] = fpheap_alloc(heap, c.size));
        n++;
    }
    assert_int_equal(fpheap_telemetry_add(heap, "classes"), 0);
    ask(fd, "/fpheap/classes,classes");
    print_message("figure: %u classes in %zu characters\n", n, strlen(answer));
    assert_int_equal(answer[strlen(answer) - 1], '}');
    for (unsigned i = 0; i < n; i++) {
        char key[40];

        fpheap_class_stats_get(heap, i, &c);
        snprintf(key, sizeof key, "\"%zu\":{", c.size);
        assert_non_null(strstr(answer, key));
    }
    fpheap_telemetry_remove(heap);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY(heap);
    close(fd);
}

static void *
come_and_go(void *arg)
{
    int *stop = arg;

    while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
        fpheap *heap = fpheap_create("short", NULL);
        void   *object = fpheap_alloc(heap, 100);

        if (fpheap_telemetry_add(heap, "short") != 0)
            return arg;
        usleep(1000);
        fpheap_free(heap, object);
        fpheap_telemetry_remove(heap);
        if (fpheap_destroy(heap) != 0)
            return arg;
    }
    return NULL;
}

static void
heaps_come_and_go_beside_a_client(void **state)
{
    int       fd = connect_to_telemetry();
    int       stop = 0;
    int       seen = 0;
    void     *failed = NULL;
    pthread_t thread;
    int       i;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &stop), 0);
    for (i = 0; i < 3000 || (seen == 0 && i < 1000000); i++) {
        ask(fd, i % 2 ? "/fpheap/stats,short" : "/fpheap/classes,short");
        seen += strstr(answer, "null") == NULL;
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    assert_true(seen > 0);
    print_message("figure: %d queries, %d met the heap\n", i, seen);
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stats_are_those_of_the_heap),
        cmocka_unit_test(dpdks_own_client_shows_them),
        cmocka_unit_test(what_cannot_be_shown_is_an_error),
        cmocka_unit_test(all_classes_fit_one_answer),
        cmocka_unit_test(heaps_come_and_go_beside_a_client)
    };
    char more[96];
    char clean[256];
    int  failed;

    snprintf(prefix, sizeof prefix, "fpheap_test_%d", (int)getpid());
    snprintf(more, sizeof more, "--file-prefix=%s", prefix);
    eal_start(more);
    snprintf(clean, sizeof clean, "rm -r '%s'", rte_eal_get_runtime_dir());
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rte_eal_cleanup();
    return system(clean) == 0 ? failed : 1; /* the EAL leaves it behind */
}
