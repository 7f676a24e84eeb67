#pragma once
// No pkg-config name: hiredis.pc carries -D_FILE_OFFSET_BITS=64, which SwiftPM refuses with a warning on every build.
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
