/*
 * probe.h - marks that a tracer can stop at: doc/mapseg-probes.7 says what each means. All
 * begin with the inode number of the segment's file.
 *
 * A mark is an instruction that does nothing, and a note in the file of the library on where
 * it is and what it shows. Where the library is built without <sys/sdt.h>, there are none.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_PROBE_H
#define MAPSEG_PROBE_H

#include <config.h>

/* Asked for once more: programs of another word size, in tests, may not have it. */
#if defined(HAVE_SYS_SDT_H) && defined(__has_include)

#if __has_include(<sys/sdt.h>)

#include <sys/sdt.h>

#endif

#endif

#ifdef DTRACE_PROBE3

#define MSI_PROBE(name, inode, what, more) DTRACE_PROBE3(mapseg, name, inode, what, more)

#else

#define MSI_PROBE(name, inode, what, more) ((void)(inode), (void)(what), (void)(more))

#endif

#endif
