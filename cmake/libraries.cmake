# Libraries of the distribution, found by pkg-config. Required: utf8proc (case and character
# classes in chat templates), jansson (JSON), zlib (CRC-32), lz4 and zstd (compressed .apr files),
# OpenSSL's libcrypto (SHA-256). Optional: libedit (line editing in `apr chat`), cairo (charts as
# PNG), libcurl (`apr pull`). Tests also need cmocka.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(RZ_UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(RZ_JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(RZ_PACKING REQUIRED IMPORTED_TARGET zlib liblz4 libzstd)
pkg_check_modules(RZ_CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(RZ_CURL IMPORTED_TARGET libcurl)
pkg_check_modules(RZ_LIBEDIT IMPORTED_TARGET libedit)
pkg_check_modules(RZ_CAIRO IMPORTED_TARGET cairo)
if(RZ_BUILD_TESTS)
    pkg_check_modules(RZ_CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()

add_library(rz_libraries INTERFACE)
target_link_libraries(rz_libraries INTERFACE
    PkgConfig::RZ_UTF8PROC PkgConfig::RZ_JANSSON PkgConfig::RZ_PACKING PkgConfig::RZ_CRYPTO
    Threads::Threads m)
