#pragma once
#define CURL_DISABLE_TYPECHECK 1
#include <curl/curl.h>

// Swift cannot call C functions with variable arguments. curl_easy_setopt, curl_easy_getinfo and curl_multi_setopt
// are such functions, so each type of argument that we pass has one function here.

// Options that take a number or a switch.
static inline CURLcode sluice_curl_set_long(CURL *handle, CURLoption option, long value) {
  return curl_easy_setopt(handle, option, value);
}

// Options that take a size of 64 bits.
static inline CURLcode sluice_curl_set_size(CURL *handle, CURLoption option, curl_off_t value) {
  return curl_easy_setopt(handle, option, value);
}

// Options that take a text, which libcurl copies.
static inline CURLcode sluice_curl_set_text(CURL *handle, CURLoption option, const char *value) {
  return curl_easy_setopt(handle, option, value);
}

// CURLOPT_COPYPOSTFIELDS: bytes, which libcurl copies; their number has been set before.
static inline CURLcode sluice_curl_set_body(CURL *handle, const void *bytes) {
  return curl_easy_setopt(handle, CURLOPT_COPYPOSTFIELDS, bytes);
}

// Options that take a pointer handed back to a callback, or a buffer that outlives the transfer.
static inline CURLcode sluice_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
  return curl_easy_setopt(handle, option, value);
}

// Options that take a list, which must outlive the transfer.
static inline CURLcode sluice_curl_set_list(CURL *handle, CURLoption option, struct curl_slist *value) {
  return curl_easy_setopt(handle, option, value);
}

// CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION.
static inline CURLcode sluice_curl_set_callback(CURL *handle, CURLoption option, curl_write_callback value) {
  return curl_easy_setopt(handle, option, value);
}

// Facts about a finished transfer that are numbers.
static inline CURLcode sluice_curl_get_long(CURL *handle, CURLINFO info, long *value) {
  return curl_easy_getinfo(handle, info, value);
}

// Facts about a finished transfer that are pointers (CURLINFO_PRIVATE).
static inline CURLcode sluice_curl_get_pointer(CURL *handle, CURLINFO info, void **value) {
  return curl_easy_getinfo(handle, info, value);
}

// Limits of the whole set of transfers.
static inline CURLMcode sluice_curl_multi_set_long(CURLM *handle, CURLMoption option, long value) {
  return curl_multi_setopt(handle, option, value);
}
