#pragma once
#include <libpq-fe.h>
// Not in Swift's Glibc module; a waiting connection is woken through an eventfd.
#include <sys/eventfd.h>
