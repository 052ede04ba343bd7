/* partitions_config.h - the files that partitions_tool makes partitions from
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * One partition a line, a name and then settings; partitions_tool.c says which.
 */
#ifndef PARTITIONS_CONFIG_H
#define PARTITIONS_CONFIG_H

#include "../fpheap.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

enum { PATH = 512 };
enum { BYTES, PAGE, NODE, MODE, DIRECTORY, LOCAL, GROWING, STATIC, SETTINGS };

static const char *const settings[SETTINGS] = {
    "bytes=", "page=", "node=", "mode=", "directory=",
    "local", "growing", "static"
};

typedef struct plan {
    int         line;
    char        name[FPHEAP_NAME_BYTES];
    char        directory[PATH];
    size_t      bytes;
    size_t      page;          /* 0: any */
    unsigned    mode;
    unsigned    node;
    unsigned    said;          /* a bit for each setting */
    int         file;
    fpheap     *heap;
} plan;

static plan        plans[FPHEAP_MAX_HEAPS];
static int         n_plans;
static const char *config;

static int
says(const plan *p, int setting)
{
    return (int)(p->said >> setting & 1);
}

static int
bad(int line, const char *what, const char *why)
{
    fprintf(stderr, "partitions_tool: %s:%d: %s: %s\n", config, line, what,
            why);
    return 1;
}

/* Digits, and *end is behind them.  Returns ULLONG_MAX: there are none. */
static unsigned long long
number(const char *text, int base, char **end)
{
    *end = (char *)(uintptr_t)text;
    return *text < '0' || *text > '9' ? ULLONG_MAX : strtoull(text, end, base);
}

/* "64M" as bytes; 0: it is none. */
static size_t
size_of(const char *text)
{
    const char        *units = "KMG";
    const char        *unit;
    char              *end;
    unsigned long long n     = number(text, 10, &end);
    unsigned           shift = 0;

    if (*end != '\0') {
        unit = strchr(units, *end);
        if (unit == NULL || end[1] != '\0')
            return 0;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    return n > SIZE_MAX >> shift ? 0 : (size_t)n << shift;
}

/* Set what a word says.  Returns NULL, or what is wrong. */
static const char *
set(plan *p, int setting, const char *value)
{
    char              *end = "";
    unsigned long long n;

    switch (setting) {
    case BYTES:
        p->bytes = size_of(value);
        return p->bytes != 0 && p->bytes <= FPHEAP_PARTITION_MAX
             ? NULL : "needs a size like 64M, of 64G at most";
    case PAGE:
        p->page = size_of(value);
        return p->page == 4096 || p->page == 1 << 21 || p->page == 1 << 30
             ? NULL : "pages are of 4K, 2M or 1G";
    case NODE:
        n = number(value, 10, &end);
        p->node = (unsigned)n;
        return *end == '\0' && n < 1024 ? NULL : "needs a number below 1024";
    case MODE:
        n = number(value, 8, &end);
        p->mode = (unsigned)n;
        return *end == '\0' && n <= 0777 && (n & 0600) == 0600
             ? NULL : "needs octal digits like 0660, by which the owner may "
                      "read and write";
    case DIRECTORY:
        snprintf(p->directory, PATH, "%s", value);
        return *value == '/' && strlen(value) < PATH ? NULL : "needs a path that begins with /";
    case LOCAL:
        p->mode = 0644;
        return NULL;
    default:
        return NULL;
    }
}

/* Take in one setting.  Returns NULL, or what is wrong. */
static const char *
read_setting(plan *p, const char *word)
{
    size_t n;
    int    i;

    for (i = 0; i < SETTINGS; i++) {
        n = strlen(settings[i]);
        if (strncmp(word, settings[i], n) != 0
            || (word[n - 1] != '=' && word[n] != '\0'))
            continue;
        if (says(p, i))
            return "is said twice";
        p->said |= 1u << i;
        return set(p, i, word + n);
    }
    return "there is no such setting";
}

/* What is wrong with a line as a whole, or NULL; and what it leaves open. */
static const char *
complete(plan *p)
{
    struct statfs fs;
    int           i;

    if (!says(p, BYTES))
        return "has no bytes=";
    if (says(p, LOCAL) && says(p, MODE))
        return "local and mode= exclude each other";
    if (says(p, STATIC) && says(p, GROWING))
        return "static and growing exclude each other";
    if (p->page != 0 && p->bytes % p->page != 0)
        return "bytes= is not a number of whole pages";
    if (!says(p, DIRECTORY))
        strcpy(p->directory, p->page > 4096 ? "/dev/hugepages" : "/dev/shm");
    if (statfs(p->directory, &fs) != 0)
        return "its directory does not exist";
    if (p->page != 0 && (size_t)fs.f_bsize != p->page)
        return "its directory has pages of another size";
    for (i = 0; i < n_plans - 1; i++)
        if (strcmp(plans[i].name, p->name) == 0
            && strcmp(plans[i].directory, p->directory) == 0)
            return "has the name of one above";
    p->bytes = (p->bytes + FPHEAP_CHUNK - 1) & ~(FPHEAP_CHUNK - 1);
    return NULL;
}

/* Returns 0, or 1: it is bad. */
static int
read_line(char *text, int line)
{
    const char *blanks = " \t\r\n";
    char       *rest;
    char       *word;
    const char *wrong;
    int         status = 0;
    plan       *p;

    text[strcspn(text, "#")] = '\0';
    word = strtok_r(text, blanks, &rest);
    if (word == NULL)
        return 0;
    if (n_plans == FPHEAP_MAX_HEAPS)
        return bad(line, word, "a file has FPHEAP_MAX_HEAPS partitions at most");
    if (strpbrk(word, "=/") != NULL || strlen(word) >= FPHEAP_NAME_BYTES)
        return bad(line, word, "a line begins with a name, of at most 31 "
                               "characters without / and =");
    p = &plans[n_plans++];
    *p = (plan){ .line = line, .mode = 0600, .file = -1 };
    strcpy(p->name, word);
    while ((word = strtok_r(NULL, blanks, &rest)) != NULL) {
        wrong = read_setting(p, word);
        if (wrong != NULL)
            status = bad(line, word, wrong);
    }
    wrong = status == 0 ? complete(p) : NULL;
    return wrong == NULL ? status : bad(line, p->name, wrong);
}

/* Read the partitions that a file lists into plans[].  Returns 0, or 1: it was
 * said what is wrong. */
static int
config_read(const char *path)
{
    FILE  *file   = fopen(path, "r");
    char  *text   = NULL;
    size_t room   = 0;
    int    line   = 0;
    int    status = 0;

    if (file == NULL) {
        fprintf(stderr, "partitions_tool: %s: %s\n", path, strerror(errno));
        return 1;
    }
    config = path;
    while (getline(&text, &room, file) >= 0)
        status |= read_line(text, ++line);
    if (ferror(file))
        status = bad(line, "cannot be read", strerror(errno));
    free(text);
    fclose(file);
    return status != 0 || n_plans != 0 ? status
         : bad(line, "end", "there is no partition");
}

#endif
