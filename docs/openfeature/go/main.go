// Decides by the gray rules of a service: go run . http://127.0.0.1:18080 reviews user-42
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/open-feature/go-sdk-contrib/providers/ofrep"
	"github.com/open-feature/go-sdk/openfeature"
)

func main() {
	if err := openfeature.SetProviderAndWait(ofrep.NewProvider(os.Args[1])); err != nil {
		log.Fatal(err)
	}
	defer openfeature.Shutdown()
	client := openfeature.NewClient("example")
	user := openfeature.NewEvaluationContext(os.Args[3], map[string]any{
		"uri":     "/checkout",
		"headers": map[string]any{"x-release": "canary"},
	})
	// "stable" is what the application does when Grayplane does not answer.
	found, err := client.StringValueDetails(context.Background(), os.Args[2], "stable", user)
	if err != nil {
		log.Print(err)
	}
	fmt.Println(found.Value, found.Reason, found.FlagMetadata["rule"])
}
