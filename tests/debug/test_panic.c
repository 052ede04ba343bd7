/* test_panic.c - without an FPHEAP_PANIC of the application's, misuse that is
 * found writes one line to standard error, with the heap's kind of fault in it,
 * and aborts.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "../test_util.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void
misuse(void)
{
    fpheap *heap = fpheap_create("panics", NULL);
    void   *object = fpheap_alloc(heap, FPHEAP_CHUNK);

    fpheap_free(heap, object);
    fpheap_free(heap, object);
}

static void
misuse_that_is_found_is_told_and_aborts(void **state)
{
    static const char message[]
        = "fpheap: free of a pointer that is no live object\n";
    struct rlimit no_core = { 0, 0 };
    char          text[512];
    const char   *after;       /* what an emulator says of the signal */
    size_t        bytes = 0;
    int           status = 0;
    int           ends[2];
    pid_t         child;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL);
        if (dup2(ends[1], 2) == 2)
            misuse();
        _exit(1);
    }
    (void)close(ends[1]);
    while (bytes < sizeof(text) - 1) {
        ssize_t n = read(ends[0], text + bytes, sizeof(text) - 1 - bytes);

        if (n <= 0)
            break;
        bytes += (size_t)n;
    }
    text[bytes] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_memory_equal(text, message, sizeof(message) - 1);
    after = text + sizeof(message) - 1;
    assert_true(*after == '\0' || strncmp(after, "qemu: ", 6) == 0);
    assert_int_equal(bytes, strlen(text));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_that_is_found_is_told_and_aborts)
    };

    return cmocka_run_group_tests_name("panic", tests, NULL, NULL);
}
