/* reports.h - an FPHEAP_REPORT that notes the line
 *
 * Include it before fpheap.h.
 */
#ifndef REPORTS_H
#define REPORTS_H

#include <stdio.h>

static char last_report[512];

static void
note_report(const char *line)
{
    (void)snprintf(last_report, sizeof last_report, "%s", line);
}

#define FPHEAP_REPORT(line) note_report(line)

#endif /* REPORTS_H */
