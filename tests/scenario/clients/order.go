// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"order/shop"
)

func main() {
	url, token, product := os.Args[1], os.Args[2], os.Args[4]
	user, _ := strconv.ParseInt(os.Args[3], 10, 64)
	card, wait, key := "tok_1", "wait=50", "go-1"
	login := shop.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
	client, _ := shop.NewClientWithResponses(url, login)
	wanted := shop.NewOrder{UserId: user, PaymentToken: &card, Items: []shop.NewOrderItem{{ProductId: product, Quantity: 2}}}
	answer, err := client.PlaceOrderWithResponse(context.Background(), &shop.PlaceOrderParams{Prefer: &wait, IdempotencyKey: &key}, wanted)
	if err != nil || answer.JSON200 == nil {
		fmt.Println("no order:", err, answer)
		os.Exit(1)
	}
	fmt.Println(answer.JSON200.Status, answer.JSON200.Total, answer.JSON200.Items[0].ProductName)
}
