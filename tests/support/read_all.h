/* read_all.h - for fuzz targets: reads whatever a file that was accepted offers. */
#ifndef RZ_TESTS_SUPPORT_READ_ALL_H
#define RZ_TESTS_SUPPORT_READ_ALL_H

#include <realizar/file.h>

/* Every element of the metadata, by every getter, and the first and last byte of every tensor; a
 * contradiction ends the program, as a sanitizer's finding does. */
void read_all(const rz_file *file);

#endif
