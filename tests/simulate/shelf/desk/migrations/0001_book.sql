-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE book (id TEXT PRIMARY KEY, n INTEGER NOT NULL, before_id TEXT NOT NULL);
INSERT INTO book (id, n, before_id) VALUES ('k0', 0, 'k9'), ('k1', 0, 'k0'), ('k2', 0, 'k1'), ('k3', 0, 'k2'), ('k4', 0, 'k3'), ('k5', 0, 'k4'), ('k6', 0, 'k5'), ('k7', 0, 'k6'), ('k8', 0, 'k7'), ('k9', 0, 'k8');
CREATE TABLE again (id TEXT NOT NULL);
