/* peak - run a command and write down how much memory it had at most
 *
 *     peak FILE COMMAND...
 *
 * FILE gets the KiB that were resident in the largest of its processes.  The exit
 * status is the command's, 128 and the signal's number if one killed it. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
    struct rusage use;
    pid_t         child;
    int           status;
    FILE         *f;

    if (argc < 3)
        return 2;
    child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child
        || getrusage(RUSAGE_CHILDREN, &use) != 0)
        return 2;
    f = fopen(argv[1], "w");
    if (f == NULL || fprintf(f, "%ld\n", use.ru_maxrss) < 0 || fclose(f) != 0)
        return 2;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
