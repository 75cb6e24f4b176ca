# Every third-party library, once. A module names the target it needs in LIBS; which folders may include
# which vendor's headers is listed in tests/house/rules.yaml and checked by a test.
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n)
find_package(GTest REQUIRED)
find_package(LibArchive REQUIRED)
pkg_check_modules(poppler REQUIRED IMPORTED_TARGET poppler-cpp)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(p11kit REQUIRED IMPORTED_TARGET p11-kit-1)  # the header of PKCS#11; the module itself is loaded at run time
pkg_check_modules(gumbo REQUIRED IMPORTED_TARGET gumbo)
find_library(STEMMER_LIBRARY stemmer REQUIRED)
find_library(PROMETHEUS_CORE_LIBRARY prometheus-cpp-core REQUIRED)
find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp REQUIRED)
