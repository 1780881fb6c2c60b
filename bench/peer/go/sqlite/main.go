// SPDX-License-Identifier: Apache-2.0

// Orders with mattn's SQLite, by the driver itself, since database/sql's locks would only cost. One goroutine writes: it
// takes what waits, commits it as a whole, durably, and answers then. Reads have connections of their own.
//
//	sqlite PORT    the store is the file that STORE names
package main

import (
	"database/sql/driver"
	"io"
	"log"
	"net/http"
	"os"
	"runtime"

	"bench-peer/serve"

	"github.com/mattn/go-sqlite3"
)

const (
	groupMax = 512
	options  = "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_cache_size=-65536&_mutex=no"
	tables   = `
		CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id BIGINT NOT NULL,
			product_id TEXT NOT NULL, quantity BIGINT NOT NULL, total BIGINT NOT NULL, status TEXT NOT NULL);
		CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, key TEXT NOT NULL,
			data TEXT NOT NULL);
		PRAGMA wal_autocheckpoint = 4000;`
	insertOrder = "INSERT INTO orders (user_id, product_id, quantity, total, status) VALUES (?, ?, ?, ?, ?)"
	insertEvent = "INSERT INTO outbox (type, key, data) VALUES (?, ?, ?)"
	selectOrder = "SELECT id, user_id, product_id, quantity, total, status FROM orders WHERE id = ?"
)

type work struct {
	wanted *serve.Wanted
	order  []byte
	err    error
	done   chan struct{}
}

type writer struct {
	begin, commit, rollback, order, event driver.Stmt
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func open() driver.Conn {
	return must((&sqlite3.SQLiteDriver{}).Open("file:" + os.Getenv("STORE") + options))
}

func (w *writer) place(one *work) error {
	wanted := one.wanted
	result, err := w.order.Exec([]driver.Value{*wanted.UserID, *wanted.ProductID, *wanted.Quantity, *wanted.Total, serve.Placed})
	if err != nil {
		return err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return err
	}
	one.order = serve.JSON(wanted.Placed(id))
	_, err = w.event.Exec([]driver.Value{serve.Event, id, string(one.order)})
	return err
}

// group is one commit: all of it, or nothing.
func (w *writer) group(first *work, more <-chan *work) {
	waiting := make([]*work, 0, groupMax)
	_, err := w.begin.Exec(nil)
	for next := first; next != nil; {
		waiting = append(waiting, next)
		if err == nil {
			err = w.place(next)
		}
		next = nil
		if err == nil && len(waiting) < groupMax {
			select {
			case next = <-more:
			default:
			}
		}
	}
	if err == nil {
		_, err = w.commit.Exec(nil)
	}
	if err != nil {
		w.rollback.Exec(nil)
	}
	for _, one := range waiting {
		one.err = err
		close(one.done)
	}
}

func newWriter() *writer {
	store := open()
	must(store.(driver.Execer).Exec(tables, nil))
	prepared := func(sql string) driver.Stmt { return must(store.Prepare(sql)) }
	return &writer{prepared("BEGIN IMMEDIATE"), prepared("COMMIT"), prepared("ROLLBACK"), prepared(insertOrder), prepared(insertEvent)}
}

func find(statement driver.Stmt, id int64) ([]byte, error) {
	rows, err := statement.Query([]driver.Value{id})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var row [6]driver.Value
	if err = rows.Next(row[:]); err != nil {
		return nil, err
	}
	return serve.JSON(serve.Order{ID: row[0].(int64), UserID: row[1].(int64), ProductID: row[2].(string),
		Quantity: row[3].(int64), Total: row[4].(int64), Status: row[5].(string)}), nil
}

func main() {
	writer, works := newWriter(), make(chan *work, groupMax)
	go func() {
		for one := range works {
			writer.group(one, works)
		}
	}()
	readers := make(chan driver.Stmt, 2*runtime.NumCPU())
	for range cap(readers) {
		readers <- must(open().Prepare(selectOrder))
	}
	serve.Run(map[string]http.HandlerFunc{
		"GET /orders/{id}": func(w http.ResponseWriter, r *http.Request) {
			id, ok := serve.ID(w, r)
			if !ok {
				return
			}
			statement := <-readers
			order, err := find(statement, id)
			readers <- statement
			switch err {
			case nil:
				serve.Answer(w, http.StatusOK, order)
			case io.EOF:
				w.WriteHeader(http.StatusNotFound)
			default:
				serve.Fault(w, err)
			}
		},
		"POST /orders": func(w http.ResponseWriter, r *http.Request) {
			wanted, ok := serve.Body(w, r)
			if !ok {
				return
			}
			one := &work{wanted: wanted, done: make(chan struct{})}
			works <- one
			<-one.done
			if one.err != nil {
				serve.Fault(w, one.err)
				return
			}
			serve.Answer(w, http.StatusCreated, one.order)
		},
	})
}
