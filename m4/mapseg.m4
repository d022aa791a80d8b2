dnl mapseg.m4 - the checks that configure.ac names.
dnl SPDX-License-Identifier: MIT

# MAPSEG_PLAIN_PATH
# Says at once what make, libtool and automake would each come upon later, in
# their own words or by a test that fails: they take paths apart.
AC_DEFUN([MAPSEG_PLAIN_PATH], [
mapseg_odd=`{ pwd; AS_ECHO(["$srcdir"]); } | LC_ALL=C tr -d 'A-Za-z0-9/._+@~=%\200-\377\n-'`
AS_IF([test -n "$mapseg_odd"],
    [AC_MSG_ERROR([build tools cannot take a path with '$mapseg_odd' in it; ./bootstrap builds in any directory])])
])

# MAPSEG_YES_NO(FEATURE, DEFAULT, HELP)
# An --enable option that is yes or no; anything else is refused.
AC_DEFUN([MAPSEG_YES_NO], [
AC_ARG_ENABLE([$1], [$3], [], [enable_$1=$2])
AS_CASE([$enable_$1], [yes|no], [],
    [AC_MSG_ERROR([--enable-$1=$enable_$1: the value is yes or no])])
])

# MAPSEG_REQUIRE_FLAGS(VARIABLE, FLAGS)
# Compiler flags that mapseg cannot be built without.
AC_DEFUN([MAPSEG_REQUIRE_FLAGS], [
AC_MSG_CHECKING([whether $CC takes $2])
mapseg_saved_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS -Werror $2"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([mapseg needs a compiler that takes $2])])
CFLAGS=$mapseg_saved_CFLAGS
AC_SUBST([$1], ["$2"])
])

# MAPSEG_OFFERED_FLAGS(LANGUAGE, VARIABLE, FLAGS)
# Those of FLAGS that the compiler of LANGUAGE knows. -Werror, because clang
# only warns of a flag that it does not know.
AC_DEFUN([MAPSEG_OFFERED_FLAGS], [
AC_LANG_PUSH([$1])
AC_MSG_CHECKING([which warnings the $1 compiler offers])
$2=
mapseg_saved_CFLAGS=$CFLAGS
mapseg_saved_CXXFLAGS=$CXXFLAGS
for mapseg_flag in m4_normalize([$3]); do
    CFLAGS="$mapseg_saved_CFLAGS -Werror $mapseg_flag"
    CXXFLAGS="$mapseg_saved_CXXFLAGS -Werror $mapseg_flag"
    AC_COMPILE_IFELSE([AC_LANG_SOURCE([[extern int offered; int offered = 0;]])],
        [$2="$$2 $mapseg_flag"])
done
CFLAGS=$mapseg_saved_CFLAGS
CXXFLAGS=$mapseg_saved_CXXFLAGS
AC_MSG_RESULT([$$2])
AC_LANG_POP([$1])
AC_SUBST([$2])
])

# MAPSEG_VERSION_SCRIPT
# Refuses a linker that would export everything.
AC_DEFUN([MAPSEG_VERSION_SCRIPT], [
AC_MSG_CHECKING([whether the linker takes --version-script])
cat > conftest.map <<'END'
CONFTEST { global: conftest; local: *; };
END
mapseg_saved_CFLAGS=$CFLAGS
mapseg_saved_LDFLAGS=$LDFLAGS
CFLAGS="$CFLAGS -fPIC"
LDFLAGS="$LDFLAGS -shared -Wl,--version-script=conftest.map"
AC_LINK_IFELSE([AC_LANG_SOURCE([[int conftest(void); int conftest(void) { return 0; }]])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([mapseg needs a linker that takes --version-script])])
CFLAGS=$mapseg_saved_CFLAGS
LDFLAGS=$mapseg_saved_LDFLAGS
rm -f conftest.map
])

# MAPSEG_STAYS_LOADED
# Refuses a linker that cannot keep dlclose() from unmapping the library.
AC_DEFUN([MAPSEG_STAYS_LOADED], [
AC_MSG_CHECKING([whether the linker takes -z nodelete])
mapseg_saved_CFLAGS=$CFLAGS
mapseg_saved_LDFLAGS=$LDFLAGS
CFLAGS="$CFLAGS -fPIC"
LDFLAGS="$LDFLAGS -shared -Wl,-z,nodelete"
AC_LINK_IFELSE([AC_LANG_SOURCE([[int conftest(void); int conftest(void) { return 0; }]])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([mapseg needs a linker that takes -z nodelete])])
CFLAGS=$mapseg_saved_CFLAGS
LDFLAGS=$mapseg_saved_LDFLAGS
])

# MAPSEG_SANITIZERS(LIST)
# Sets SANITIZER_FLAGS, for the compiler and the linker, from a list with
# commas; refuses what is unknown, cannot go together, or does not link.
AC_DEFUN([MAPSEG_SANITIZERS], [
SANITIZER_FLAGS=
AS_CASE([$1],
    [no], [],
    [yes|""], [AC_MSG_ERROR([--enable-sanitizers needs a list: address,undefined or thread])],
    [for mapseg_sanitizer in `AS_ECHO(["$1"]) | tr ',' ' '`; do
        AS_CASE([$mapseg_sanitizer],
            [address|undefined|thread], [],
            [AC_MSG_ERROR([--enable-sanitizers: unknown sanitizer $mapseg_sanitizer])])
     done
     AS_CASE([,$1,],
        [*address*thread*|*thread*address*],
        [AC_MSG_ERROR([--enable-sanitizers: address and thread cannot be used together])])
     SANITIZER_FLAGS="-fsanitize=$1 -fno-sanitize-recover=all -fno-omit-frame-pointer"
     AC_MSG_CHECKING([whether $CC links with $SANITIZER_FLAGS])
     mapseg_saved_CFLAGS=$CFLAGS
     CFLAGS="$CFLAGS $SANITIZER_FLAGS"
     AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
        [AC_MSG_RESULT([yes])],
        [AC_MSG_RESULT([no])
         AC_MSG_ERROR([--enable-sanitizers=$1: $CC cannot link that])])
     CFLAGS=$mapseg_saved_CFLAGS])
AC_SUBST([SANITIZER_FLAGS])
])

# MAPSEG_CXX17
# Sets have_cxx17 and CXX17_FLAGS.
AC_DEFUN([MAPSEG_CXX17], [
AC_MSG_CHECKING([whether $CXX compiles and links C++17])
have_cxx17=no
CXX17_FLAGS="-std=c++17"
AC_LANG_PUSH([C++])
mapseg_saved_CXXFLAGS=$CXXFLAGS
CXXFLAGS="$CXXFLAGS $CXX17_FLAGS"
AC_LINK_IFELSE([AC_LANG_PROGRAM(
    [[#include <optional>
      #include <string_view>
      static_assert(__cplusplus >= 201703L, "older");]],
    [[std::optional<std::string_view> word("x"); return word->size() == 1 ? 0 : 1;]])],
    [have_cxx17=yes])
CXXFLAGS=$mapseg_saved_CXXFLAGS
AC_LANG_POP([C++])
AC_MSG_RESULT([$have_cxx17])
AS_IF([test "x$have_cxx17" = xno], [CXX17_FLAGS=])
AC_SUBST([CXX17_FLAGS])
])

# MAPSEG_M32
# Sets have_m32 and M32_FLAGS: a 32-bit program can be compiled with the hash
# in it, linked, and run. A 32-bit off_t is of no use.
AC_DEFUN([MAPSEG_M32], [
AC_MSG_CHECKING([whether $CC -m32 makes programs that run here])
have_m32=no
M32_FLAGS="-m32 -D_FILE_OFFSET_BITS=64 -DXXH_INLINE_ALL"
mapseg_saved_CFLAGS=$CFLAGS
mapseg_saved_CPPFLAGS=$CPPFLAGS
CFLAGS="$CFLAGS $M32_FLAGS"
CPPFLAGS="$CPPFLAGS $XXHASH_CFLAGS"
AC_RUN_IFELSE([AC_LANG_PROGRAM(
    [[#include <sys/types.h>
      #include <xxhash.h>]],
    [[if (sizeof(void *) != 4 || sizeof(off_t) != 8) return 1;
      return XXH3_64bits("", 0) == 0x2d06800538d394c2ULL ? 0 : 1;]])],
    [have_m32=yes], [], [:])
CFLAGS=$mapseg_saved_CFLAGS
CPPFLAGS=$mapseg_saved_CPPFLAGS
AC_MSG_RESULT([$have_m32])
AS_IF([test "x$have_m32" = xno], [M32_FLAGS=])
AC_SUBST([M32_FLAGS])
])

# MAPSEG_BOOST
# Sets have_boost: Boost.Interprocess, which is headers alone.
AC_DEFUN([MAPSEG_BOOST], [
AC_REQUIRE([MAPSEG_CXX17])
have_boost=no
AC_LANG_PUSH([C++])
mapseg_saved_CXXFLAGS=$CXXFLAGS
CXXFLAGS="$CXXFLAGS $CXX17_FLAGS"
AC_CHECK_HEADER([boost/interprocess/sync/interprocess_mutex.hpp],
    [have_boost=$have_cxx17])
CXXFLAGS=$mapseg_saved_CXXFLAGS
AC_LANG_POP([C++])
])
