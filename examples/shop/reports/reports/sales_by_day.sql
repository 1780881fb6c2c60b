-- SPDX-License-Identifier: Apache-2.0
-- What was sold, by the day on which it was ordered (UTC).
-- freehold: takes from_day text or null
-- freehold: takes to_day text or null
SELECT day, count(*) AS orders, CAST(sum(total) AS BIGINT) AS cents FROM orders
 WHERE outcome = 'CONFIRMED' AND (:from_day IS NULL OR day >= :from_day) AND (:to_day IS NULL OR day <= :to_day)
 GROUP BY day ORDER BY day
