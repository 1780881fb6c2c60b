-- SPDX-License-Identifier: Apache-2.0
-- What was sold, by the category in which a product is now; what sells best first.
-- freehold: takes from_day text or null
-- freehold: takes to_day text or null
SELECT category, count(DISTINCT order_id) AS orders, CAST(sum(quantity) AS BIGINT) AS quantity,
       CAST(sum(quantity * price) AS BIGINT) AS cents
  FROM orders JOIN order_items ON order_id = orders.id LEFT JOIN products ON products.id = product_id
 WHERE outcome = 'CONFIRMED' AND (:from_day IS NULL OR day >= :from_day) AND (:to_day IS NULL OR day <= :to_day)
 GROUP BY category ORDER BY cents DESC, category
