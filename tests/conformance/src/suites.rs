//! The list of cases of each suite, and the macros that make a test of each.
//!
//! `tests/complete.rs` fails if a case is missing here or a clause has no case.

/// `blob_store_suite!(make)`: `make` is an expression, awaited for each case, that gives a fresh [`Backend`](crate::Backend).
#[macro_export]
macro_rules! blob_store_suite {
    ($make:expr) => {
        $crate::cases! { $make; blob_store:
            every_visible_change_is_announced,
            sequencers_rise_per_key,
            an_announcement_comes_again_until_it_is_acknowledged,
            only_visible_changes_are_announced,
            waiting_ends_when_an_object_was_put,
            buckets_are_listed_in_order,
            a_bucket_is_created_once,
            a_bucket_is_deleted_only_when_it_is_empty,
            nothing_is_found_in_a_bucket_that_is_not_there,
            there_is_a_largest_number_of_buckets,
            of_sixteen_creators_one_wins,
            of_sixteen_who_replace_the_same_version_one_wins,
            of_sixteen_who_complete_as_creators_one_wins,
            a_refused_put_changes_nothing,
            a_matching_put_needs_an_object,
            a_copy_keeps_its_condition,
            a_delete_on_condition_spares_another_version,
            a_delete_of_a_version_spares_the_same_bytes_sent_again,
            what_was_synced_survives_a_crash,
            an_open_upload_goes_on_after_a_crash_or_is_not_there,
            a_link_names_its_method_and_its_end,
            a_link_lives_seven_days_at_most,
            listing_equals_the_model_for_every_page_size,
            listing_equals_the_model_from_any_start,
            keys_are_listed_in_byte_order,
            what_was_put_or_deleted_shows_at_once,
            buckets_do_not_see_each_others_keys,
            an_owner_lists_what_is_its_own_and_is_announced,
            parts_become_one_object,
            a_range_may_cross_parts,
            a_part_may_be_named_by_its_tag_or_its_handle,
            a_wrong_completion_is_refused_and_the_upload_stays_open,
            small_parts_are_refused_except_at_the_end,
            an_upload_is_completed_once,
            an_aborted_upload_leaves_nothing,
            another_keys_upload_is_no_upload,
            an_object_of_parts_can_be_replaced_and_copied,
            an_object_is_visible_whole,
            attributes_and_checksums_come_back_as_given,
            a_tag_is_the_callers_or_the_staged_bytes_own,
            an_overwrite_replaces_bytes_and_attributes_together,
            keys_are_opaque,
            a_deleted_object_is_gone,
            a_copy_has_the_bytes_of_the_version_that_was_named,
            an_object_can_be_copied_onto_itself,
            tags_are_replaced_and_nothing_else_changes,
            usage_counts_objects_and_bytes,
            a_part_of_the_same_number_replaces_the_one_before,
            a_part_sent_twice_has_another_handle,
            part_numbers_have_bounds,
            parts_are_listed_in_pages,
            open_uploads_are_listed_by_key_then_id,
            old_uploads_can_be_told_from_new_ones,
            a_range_gives_exactly_its_bytes,
            a_range_is_cut_to_the_end_and_one_beyond_it_is_refused,
            an_empty_object_has_an_empty_range,
            a_pinned_read_refuses_another_version,
            a_reader_sees_one_version_to_its_end,
            a_flipped_bit_is_never_a_wrong_byte,
            a_full_store_refuses_new_content_and_takes_it_again_when_there_is_room,
            a_full_store_does_everything_else,
            a_length_that_does_not_fit_is_refused_before_its_first_byte,
            a_round_finds_the_flipped_bit_and_whose_it_is,
            a_round_reads_all_that_was_stored_when_it_began,
            staged_bytes_that_are_dropped_leave_nothing,
            an_unfinished_stage_leaves_nothing,
            a_refused_put_leaves_nothing,
            a_sweep_spares_what_is_being_written,
            a_stage_takes_more_or_less_than_expected,
        }
    };
}

/// As [`blob_store_suite!`].
#[macro_export]
macro_rules! state_store_suite {
    ($make:expr) => {
        $crate::cases! { $make; state_store:
            a_set_of_every_kind_is_applied_whole,
            an_empty_set_changes_nothing,
            a_set_has_a_largest_size,
            a_set_sent_twice_is_applied_once,
            a_reader_sees_a_set_whole,
            a_committed_set_is_read_at_once,
            of_sixteen_updates_of_a_revision_one_wins,
            a_file_gives_way_only_to_who_knows_it,
            a_version_that_is_there_is_held_and_marked_as_removed_once,
            an_upload_is_inserted_once,
            an_upload_gives_way_only_to_who_knows_its_status,
            a_job_is_inserted_once,
            a_job_is_updated_from_the_revision_before,
            a_task_is_inserted_once,
            a_task_that_is_put_replaces_the_one_that_was_there,
            a_chunk_counts_once,
            of_sixteen_who_record_a_chunk_one_wins,
            a_synced_set_survives_a_crash_with_all_before_it,
            what_a_crash_takes_is_what_came_last,
            a_crash_does_not_part_an_object_from_its_set,
            events_are_numbered_in_commit_order,
            events_are_read_from_any_number_in_pages,
            an_event_comes_back_as_it_was,
            a_number_is_not_given_again_after_a_crash,
            a_follower_misses_nothing,
            overdue_uploads_are_the_pending_ones_whose_link_ended,
            stranded_jobs_are_the_open_ones_without_a_task,
            cleaning_takes_what_ended_jobs_left_and_nothing_else,
            cleaning_spares_what_a_failed_job_keeps,
            cleaning_keeps_the_newest_events_and_their_numbers,
            what_ended_long_ago_expires_and_nothing_else,
            counts_tell_what_waits_and_what_runs,
            ended_jobs_are_counted_by_their_last_end,
            a_task_that_is_not_leased_is_held_by_nobody,
            another_token_holds_nothing,
            a_lease_that_is_over_holds_nothing,
            a_lease_that_another_took_holds_nothing,
            a_released_lease_holds_nothing,
            an_extended_lease_is_held_to_its_new_end,
            a_returned_task_waits_for_its_time,
            an_ended_task_is_gone,
            a_task_made_again_does_not_know_old_tokens,
            staged_bytes_are_published_with_the_set,
            parts_are_published_with_the_set_and_the_upload_ends,
            a_refused_set_publishes_nothing,
            what_is_not_there_cannot_be_published,
            a_publication_replaces_an_object,
            a_publication_replaces_what_it_may_and_nothing_else,
            a_publication_that_lies_about_its_size_is_invalid,
            jobs_are_listed_newest_first_in_pages,
            jobs_are_found_by_each_property,
            open_jobs_of_an_object_are_found_whatever_their_version,
            files_are_listed_by_bucket_and_key_in_pages,
            jobs_are_found_within_a_reach_only,
            files_are_found_within_a_reach_only,
            findings_are_found_and_counted_within_a_reach_only,
            records_are_found_and_counted_within_a_reach_only,
            an_event_keeps_its_owner,
            the_upload_of_an_object_is_the_newest_that_is_not_received,
            chunks_are_listed_by_index_and_run,
            a_survey_is_stored_once_and_read_whole,
            cleaning_takes_the_surveys_of_ended_jobs,
            an_object_has_one_finding_by_processor,
            findings_are_found_by_each_property_in_pages,
            findings_are_counted_and_averaged,
            a_record_is_changed_from_the_revision_before,
            of_sixteen_who_change_a_record_one_wins,
            records_are_found_by_the_fields_they_have_now,
            records_are_listed_by_id_in_pages,
            records_are_counted_by_the_value_of_a_field,
            due_records_come_longest_due_first,
            a_result_and_its_rejects_are_published_together,
        }
    };
}

/// As [`blob_store_suite!`].
#[macro_export]
macro_rules! task_queue_suite {
    ($make:expr) => {
        $crate::cases! { $make; task_queue:
            waiting_ends_at_once_if_a_task_is_ready,
            waiting_ends_when_a_task_is_made_ready,
            of_sixteen_leasers_each_task_goes_to_one,
            tokens_rise_with_every_lease,
            attempts_rise_at_the_claim,
            a_claim_that_was_lost_stands_in_the_history,
            a_lease_is_over_at_its_end,
            a_clock_that_is_set_moves_no_lease_and_no_back_off,
            an_extended_lease_is_not_given_to_another,
            a_lost_lease_cannot_be_extended,
            a_released_task_is_ready_at_once_and_does_not_count,
            a_stale_release_harms_nobody,
            acknowledgements_and_rings_may_come_twice,
            a_lease_carries_its_task_as_stored,
            a_call_leases_at_most_what_was_wanted,
            a_call_leases_a_bounded_number_of_chunks,
            a_queue_runs_at_most_its_limit,
            a_queue_tells_what_waits_and_what_runs,
            lower_ranks_are_leased_first,
            nothing_waits_for_ever,
            a_large_lease_is_fair_too,
            a_task_is_not_leased_before_its_time,
        }
    };
}

/// As [`blob_store_suite!`].
#[macro_export]
macro_rules! message_queues_suite {
    ($make:expr) => {
        $crate::cases! { $make; message_queues:
            a_message_queue_is_created_once,
            every_setting_comes_back_as_it_was_set,
            impossible_settings_are_refused,
            message_queues_are_listed_by_name_in_pages,
            a_purged_queue_is_empty_at_once,
            a_deleted_queue_takes_its_messages_with_it,
            a_message_comes_as_it_was_sent,
            every_message_of_a_batch_has_its_own_id,
            a_batch_with_one_message_too_long_is_not_sent_at_all,
            a_batch_has_one_to_ten_entries,
            the_longest_message_is_a_mebibyte,
            a_delayed_message_waits_for_its_time,
            nothing_is_sent_to_a_queue_that_is_not_there,
            of_sixteen_receivers_each_message_goes_to_one,
            what_is_not_deleted_comes_again_and_is_counted,
            a_clock_that_is_set_moves_no_visibility_and_no_delay,
            a_receiver_may_say_how_long,
            settings_hold_from_now_on,
            those_visible_longest_come_first,
            what_is_past_its_retention_is_not_received,
            tidying_removes_what_is_old_and_nothing_else,
            only_so_many_messages_are_in_flight,
            a_deleted_message_is_gone_and_deleting_twice_is_no_error,
            an_older_receipt_deletes_nothing,
            the_newest_receipt_deletes_after_its_end_too,
            a_receipt_of_nothing_harms_nobody,
            what_was_never_received_cannot_be_deleted,
            only_the_newest_receipt_moves_visibility,
            zero_gives_a_message_back_at_once,
            a_message_received_too_often_becomes_a_dead_letter,
            retention_of_dead_letters_counts_from_the_move,
            dead_letters_make_room_for_the_living,
            behind_dead_letters_a_claim_of_no_time_finds_the_living,
            without_its_letter_box_a_message_is_received_as_before,
            the_sources_of_a_dead_letter_queue_are_found,
            a_wait_ends_when_a_message_is_sent,
            a_wait_ends_when_a_visibility_does,
            a_wait_ends_when_a_delay_does,
            a_wait_ends_when_what_another_claimed_comes_back,
            a_wait_ends_when_a_message_is_given_back,
            a_wait_ends_when_a_dead_letter_comes,
            a_wait_that_got_nothing_ends_at_its_time,
            a_queue_may_say_how_long_to_wait,
            a_wait_ends_when_its_queue_is_deleted,
            of_many_who_wait_each_gets_a_message,
            what_was_sent_survives_a_crash,
            what_was_deleted_stays_deleted_after_a_crash,
            a_receipt_from_before_a_crash_is_never_another_ones,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! cases {
    ($make:expr; $suite:ident: $($case:ident,)*) => {
        mod $suite {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $crate::$suite::$case($make.await).await;
                }
            )*
        }
    };
}
