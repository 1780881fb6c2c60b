/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MONGODB_LIBRARY_H
#define ENGINE_MONGODB_LIBRARY_H

/* MongoDB's client library as a table of its functions, loaded when the engine is chosen. Calls
 * read `mongoc.bson_new()`. */

#include <mongoc/mongoc.h>

#include "base/error.h"

/* clang-format off */
#define MONGODB_FUNCTIONS(X) \
    X(bson_append_array_begin) X(bson_append_array_end) X(bson_append_bool) \
    X(bson_append_document) X(bson_append_document_begin) X(bson_append_document_end) \
    X(bson_append_double) X(bson_append_int64) X(bson_append_null) X(bson_append_utf8) \
    X(bson_append_value) X(bson_copy) X(bson_new_from_json) X(bson_destroy) X(bson_get_monotonic_time) X(bson_init) X(bson_init_static) \
    X(bson_iter_bool) X(bson_iter_date_time) X(bson_iter_document) X(bson_iter_double) X(bson_iter_find) \
    X(bson_iter_find_descendant) X(bson_iter_init) X(bson_iter_init_find) X(bson_iter_int32) \
    X(bson_iter_int64) X(bson_iter_key) X(bson_iter_next) X(bson_iter_recurse) \
    X(bson_iter_type) X(bson_iter_utf8) X(bson_iter_value) X(bson_new) X(bson_reserve_buffer) \
    X(mongoc_bulk_operation_destroy) X(mongoc_bulk_operation_execute) \
    X(mongoc_bulk_operation_insert_with_opts) X(mongoc_bulk_operation_remove_many_with_opts) \
    X(mongoc_bulk_operation_remove_one_with_opts) \
    X(mongoc_bulk_operation_replace_one_with_opts) X(mongoc_bulk_operation_update_many_with_opts) \
    X(mongoc_bulk_operation_update_one_with_opts) X(mongoc_client_command_simple) \
    X(mongoc_client_destroy) X(mongoc_client_get_collection) X(mongoc_client_new_from_uri) \
    X(mongoc_client_set_error_api) X(mongoc_client_set_stream_initiator) X(mongoc_client_write_command_with_opts) \
    X(mongoc_collection_count_documents) \
    X(mongoc_collection_create_bulk_operation_with_opts) X(mongoc_collection_delete_one) \
    X(mongoc_collection_destroy) X(mongoc_collection_estimated_document_count) \
    X(mongoc_collection_find_with_opts) \
    X(mongoc_collection_insert_one) X(mongoc_collection_replace_one) \
    X(mongoc_collection_update_one) X(mongoc_cursor_destroy) X(mongoc_cursor_error) \
    X(mongoc_cursor_next) X(mongoc_init) X(mongoc_log_set_handler) X(mongoc_uri_destroy) \
    X(mongoc_socket_connect) X(mongoc_socket_destroy) X(mongoc_socket_new) \
    X(mongoc_stream_buffered_new) X(mongoc_stream_socket_new) X(mongoc_uri_new_with_error) X(mongoc_uri_set_auth_mechanism) X(mongoc_uri_set_auth_source) \
    X(mongoc_uri_set_option_as_utf8) X(mongoc_uri_set_password) X(mongoc_uri_set_username)
/* clang-format on */

struct mongodb_library {
#define MONGODB_SLOT(name) __typeof__(name) *name;
    MONGODB_FUNCTIONS(MONGODB_SLOT)
#undef MONGODB_SLOT
};
extern struct mongodb_library mongoc;

/* Call it before the process confines itself and before any thread runs. */
enum fh_code mongodb_load(struct fh_error *error);

#endif
