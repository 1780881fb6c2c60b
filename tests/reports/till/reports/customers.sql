-- SPDX-License-Identifier: Apache-2.0
-- Who has bought, and what of the last time.
SELECT customer, NULL AS last, max(cents) AS most FROM sale GROUP BY customer ORDER BY customer
