#include "cli.h"

int main(int argc, char** argv) { return stoa::cli::run(argc, argv); }
