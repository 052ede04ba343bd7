/* panics.h - an FPHEAP_PANIC that notes the message and returns
 *
 * Include it before fpheap.h; test_util.h has what a test expects of the notes.
 */
#ifndef PANICS_H
#define PANICS_H

#include <stdio.h>

static unsigned panics;
static char     last_panic[512];

static void
note_panic(const char *message)
{
    panics++;
    (void)snprintf(last_panic, sizeof last_panic, "%s", message);
}

#define FPHEAP_PANIC(message) note_panic(message)

#endif /* PANICS_H */
