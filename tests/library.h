/* library.h - functions of a library that a program opens, see symbols.sh */
#ifndef LIBRARY_H
#define LIBRARY_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fpheap.h"

static void *library;

static void *
find(const char *name)
{
    void *found = dlsym(library, name);

    if (found == NULL) {
        printf("%s\n", dlerror());
        exit(1);
    }
    return found;
}

#define F(f) (*(__typeof__(fpheap_##f) *)find("fpheap_" #f))
#define CHECK(is) \
    ((is) ? (void)0 : (printf("line %d: %s\n", __LINE__, #is), exit(1)))

#endif /* LIBRARY_H */
