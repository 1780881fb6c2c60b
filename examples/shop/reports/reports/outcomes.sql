-- SPDX-License-Identifier: Apache-2.0
-- What became of orders, and which step has refused those that were cancelled.
-- freehold: takes from_day text or null
-- freehold: takes to_day text or null
SELECT outcome, refused_by, count(*) AS orders, CAST(sum(total) AS BIGINT) AS cents FROM orders
 WHERE (:from_day IS NULL OR day >= :from_day) AND (:to_day IS NULL OR day <= :to_day)
 GROUP BY outcome, refused_by ORDER BY outcome, refused_by
