# Libraries of the distribution, found by pkg-config. Required: utf8proc (case and character
# classes in chat templates), jansson (JSON). Optional: libedit (line editing in `apr chat`), cairo
# (charts as PNG). Tests also need cmocka.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(RZ_UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(RZ_JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(RZ_LIBEDIT IMPORTED_TARGET libedit)
pkg_check_modules(RZ_CAIRO IMPORTED_TARGET cairo)
if(RZ_BUILD_TESTS)
    pkg_check_modules(RZ_CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()

add_library(rz_libraries INTERFACE)
target_link_libraries(rz_libraries INTERFACE
    PkgConfig::RZ_UTF8PROC PkgConfig::RZ_JANSSON Threads::Threads m)
