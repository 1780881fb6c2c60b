/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_KAFKA_LIBRARY_H
#define BROKER_KAFKA_LIBRARY_H

/*
 * librdkafka, loaded only when Kafka is chosen: a process without it pays nothing. One list names
 * the functions used; the table of pointers is built from it, with the types in the library's own
 * header. Don't name functions newer than librdkafka 2.0.
 */

#include <librdkafka/rdkafka.h>

#include "base/error.h"

#define KAFKA_FUNCTIONS(X)                                                                         \
    X(rd_kafka_AclBindingFilter_new)                                                               \
    X(rd_kafka_AclBinding_destroy)                                                                 \
    X(rd_kafka_AclBinding_host)                                                                    \
    X(rd_kafka_AclBinding_name)                                                                    \
    X(rd_kafka_AclBinding_new)                                                                     \
    X(rd_kafka_AclBinding_operation)                                                               \
    X(rd_kafka_AclBinding_permission_type)                                                         \
    X(rd_kafka_AclBinding_principal)                                                               \
    X(rd_kafka_AclBinding_resource_pattern_type)                                                   \
    X(rd_kafka_AclBinding_restype)                                                                 \
    X(rd_kafka_AdminOptions_destroy)                                                               \
    X(rd_kafka_AdminOptions_new)                                                                   \
    X(rd_kafka_AdminOptions_set_operation_timeout)                                                 \
    X(rd_kafka_AdminOptions_set_request_timeout)                                                   \
    X(rd_kafka_AdminOptions_set_validate_only)                                                     \
    X(rd_kafka_AlterConfigs)                                                                       \
    X(rd_kafka_AlterConfigs_result_resources)                                                      \
    X(rd_kafka_ConfigEntry_name)                                                                   \
    X(rd_kafka_ConfigEntry_value)                                                                  \
    X(rd_kafka_ConfigResource_configs)                                                             \
    X(rd_kafka_ConfigResource_destroy)                                                             \
    X(rd_kafka_ConfigResource_error)                                                               \
    X(rd_kafka_ConfigResource_new)                                                                 \
    X(rd_kafka_ConfigResource_set_config)                                                          \
    X(rd_kafka_ConsumerGroupDescription_error)                                                     \
    X(rd_kafka_CreateAcls)                                                                         \
    X(rd_kafka_CreateAcls_result_acls)                                                             \
    X(rd_kafka_CreateTopics)                                                                       \
    X(rd_kafka_CreateTopics_result_topics)                                                         \
    X(rd_kafka_DeleteAcls)                                                                         \
    X(rd_kafka_DeleteAcls_result_response_error)                                                   \
    X(rd_kafka_DeleteAcls_result_responses)                                                        \
    X(rd_kafka_DeleteRecords)                                                                      \
    X(rd_kafka_DeleteRecords_destroy)                                                              \
    X(rd_kafka_DeleteRecords_new)                                                                  \
    X(rd_kafka_DeleteRecords_result_offsets)                                                       \
    X(rd_kafka_DescribeAcls)                                                                       \
    X(rd_kafka_DescribeAcls_result_acls)                                                           \
    X(rd_kafka_DescribeConfigs)                                                                    \
    X(rd_kafka_DescribeConfigs_result_resources)                                                   \
    X(rd_kafka_DescribeConsumerGroups)                                                             \
    X(rd_kafka_DescribeConsumerGroups_result_groups)                                               \
    X(rd_kafka_NewTopic_destroy)                                                                   \
    X(rd_kafka_NewTopic_new)                                                                       \
    X(rd_kafka_NewTopic_set_config)                                                                \
    X(rd_kafka_acl_result_error)                                                                   \
    X(rd_kafka_assign)                                                                             \
    X(rd_kafka_clusterid)                                                                          \
    X(rd_kafka_commit_queue)                                                                       \
    X(rd_kafka_committed)                                                                          \
    X(rd_kafka_conf_destroy)                                                                       \
    X(rd_kafka_conf_interceptor_add_on_new)                                                        \
    X(rd_kafka_conf_new)                                                                           \
    X(rd_kafka_conf_set)                                                                           \
    X(rd_kafka_conf_set_dr_msg_cb)                                                                 \
    X(rd_kafka_conf_set_error_cb)                                                                  \
    X(rd_kafka_conf_set_log_cb)                                                                    \
    X(rd_kafka_conf_set_opaque)                                                                    \
    X(rd_kafka_conf_set_ssl_cert_verify_cb)                                                        \
    X(rd_kafka_consume_batch_queue)                                                                \
    X(rd_kafka_destroy_flags)                                                                      \
    X(rd_kafka_err2name)                                                                           \
    X(rd_kafka_err2str)                                                                            \
    X(rd_kafka_error_code)                                                                         \
    X(rd_kafka_error_destroy)                                                                      \
    X(rd_kafka_event_AlterConfigs_result)                                                          \
    X(rd_kafka_event_CreateAcls_result)                                                            \
    X(rd_kafka_event_CreateTopics_result)                                                          \
    X(rd_kafka_event_DeleteAcls_result)                                                            \
    X(rd_kafka_event_DeleteRecords_result)                                                         \
    X(rd_kafka_event_DescribeAcls_result)                                                          \
    X(rd_kafka_event_DescribeConfigs_result)                                                       \
    X(rd_kafka_event_DescribeConsumerGroups_result)                                                \
    X(rd_kafka_event_destroy)                                                                      \
    X(rd_kafka_event_error)                                                                        \
    X(rd_kafka_event_error_string)                                                                 \
    X(rd_kafka_flush)                                                                              \
    X(rd_kafka_get_watermark_offsets)                                                              \
    X(rd_kafka_header_get_last)                                                                    \
    X(rd_kafka_interceptor_add_on_response_received)                                               \
    X(rd_kafka_mem_free)                                                                           \
    X(rd_kafka_message_destroy)                                                                    \
    X(rd_kafka_message_headers)                                                                    \
    X(rd_kafka_message_timestamp)                                                                  \
    X(rd_kafka_metadata)                                                                           \
    X(rd_kafka_metadata_destroy)                                                                   \
    X(rd_kafka_new)                                                                                \
    X(rd_kafka_offsets_for_times)                                                                  \
    X(rd_kafka_offsets_store)                                                                      \
    X(rd_kafka_poll)                                                                               \
    X(rd_kafka_poll_set_consumer)                                                                  \
    X(rd_kafka_produceva)                                                                          \
    X(rd_kafka_purge)                                                                              \
    X(rd_kafka_queue_destroy)                                                                      \
    X(rd_kafka_queue_get_consumer)                                                                 \
    X(rd_kafka_queue_io_event_enable)                                                              \
    X(rd_kafka_queue_new)                                                                          \
    X(rd_kafka_queue_poll)                                                                         \
    X(rd_kafka_topic_destroy)                                                                      \
    X(rd_kafka_topic_new)                                                                          \
    X(rd_kafka_topic_partition_list_add)                                                           \
    X(rd_kafka_topic_partition_list_destroy)                                                       \
    X(rd_kafka_topic_partition_list_new)                                                           \
    X(rd_kafka_topic_result_error)                                                                 \
    X(rd_kafka_topic_result_error_string)

struct kafka_library {
#define KAFKA_POINTER(name) __typeof__(name) *name;
    KAFKA_FUNCTIONS(KAFKA_POINTER)
#undef KAFKA_POINTER
};
extern struct kafka_library kafka;

/* FH_UNSUPPORTED: it is not installed, or too old. */
enum fh_code kafka_library_load(struct fh_error *error);

#endif
