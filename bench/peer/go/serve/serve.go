// SPDX-License-Identifier: Apache-2.0

// Package serve has what the programs share: the order as a client wants it and as it was stored, and how it is served.
package serve

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
)

const (
	Placed = "PLACED"
	Event  = "OrderCreated"

	garbagePercent = 400 // memory for time
	memoryMax      = 1 << 30
	bodyMax        = 1 << 20
)

type Wanted struct {
	UserID    *int64  `json:"user_id"`
	ProductID *string `json:"product_id"`
	Quantity  *int64  `json:"quantity"`
	Total     *int64  `json:"total"`
}

type Order struct {
	ID        int64  `json:"id"`
	UserID    int64  `json:"user_id"`
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
	Total     int64  `json:"total"`
	Status    string `json:"status"`
}

// Placed is the order as it is stored.
func (wanted *Wanted) Placed(id int64) Order {
	return Order{id, *wanted.UserID, *wanted.ProductID, *wanted.Quantity, *wanted.Total, Placed}
}

// JSON is what a struct of this package is in JSON.
func JSON(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

func Answer(w http.ResponseWriter, status int, text []byte) {
	header := w.Header()
	header["Content-Type"] = []string{"application/json"}
	header["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	w.Write(text)
}

// Fault answers 500 and says why on the standard error.
func Fault(w http.ResponseWriter, err error) {
	log.Print(err)
	w.WriteHeader(http.StatusInternalServerError)
}

// Body is one of the right shape; otherwise it is answered 422.
func Body(w http.ResponseWriter, r *http.Request) (*Wanted, bool) {
	var wanted Wanted
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyMax))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&wanted)
	if err != nil || wanted.UserID == nil || wanted.ProductID == nil || wanted.Quantity == nil || wanted.Total == nil ||
		*wanted.Quantity < 1 {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return nil, false
	}
	return &wanted, true
}

// ID is what stands in the path; what is none is answered 404.
func ID(w http.ResponseWriter, r *http.Request) (int64, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
	}
	return id, err == nil
}

func constant(w http.ResponseWriter, _ *http.Request) {
	Answer(w, http.StatusOK, JSON(struct {
		ID     int64  `json:"id"`
		UserID int64  `json:"user_id"`
		Status string `json:"status"`
	}{1, 7, Placed}))
}

// Run serves these routes on the port that the program was called with, and says "ready" once it is reached there.
func Run(routes map[string]http.HandlerFunc) {
	debug.SetGCPercent(garbagePercent)
	debug.SetMemoryLimit(memoryMax)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /constant", constant)
	for route, handler := range routes {
		mux.HandleFunc(route, handler)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	log.Fatal(http.Serve(listener, mux)) // its connections have TCP_NODELAY
}
