-- SPDX-License-Identifier: Apache-2.0
-- Words are found in the derived store now, which is made of these. Of a product that was heard of before, the category
-- and the description are not known until it is heard of again: `freehold rebuild search` takes over all of them.
ALTER TABLE products ADD COLUMN category TEXT;
ALTER TABLE products ADD COLUMN description TEXT;
ALTER TABLE products DROP COLUMN words;
