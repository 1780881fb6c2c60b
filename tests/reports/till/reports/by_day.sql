-- SPDX-License-Identifier: Apache-2.0
-- What was sold, by day.
-- freehold: takes from_day text
-- freehold: takes customer text or null
SELECT day, sum(cents) AS cents, count(*) AS sales FROM sale
 WHERE day >= :from_day AND (:customer IS NULL OR customer = :customer)
 GROUP BY day ORDER BY day
