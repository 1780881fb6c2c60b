-- SPDX-License-Identifier: Apache-2.0
-- Takes as long as it may.
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS n FROM n
