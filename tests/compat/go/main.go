// Every operation and every credential provider once, against the service that the scenario names. A line of JSON for
// each: what was called, and "ok" with what came back, or the error as the SDK returns it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
)

type scenario struct {
	Region, URL string
	BusyURL     string `json:"busy_url"`
	Caller      struct{ AccessKeyId, SecretAccessKey string }
	Calls       map[string]json.RawMessage
	Providers   struct {
		Role, Chained, Profile string
		WebRole                string `json:"web_role"`
		TokenFile              string `json:"token_file"`
	}
}

var background = context.Background()

func main() {
	content, err := os.ReadFile(os.Args[1])
	var s scenario
	if err == nil {
		err = json.Unmarshal(content, &s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	caller := credentials.NewStaticCredentialsProvider(s.Caller.AccessKeyId, s.Caller.SecretAccessKey, "")
	for operation, input := range s.Calls {
		report(operation, func() (any, error) { return s.call(operation, input, caller) })
	}
	first := aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(s.client(caller, s.URL, 1), s.Providers.Role))
	second := stscreds.NewAssumeRoleProvider(s.client(first, s.URL, 1), s.Providers.Chained)
	report("credentials of a role", func() (any, error) { return s.identity(first) })
	report("credentials of a chained role", func() (any, error) { return s.identity(second) })
	file := stscreds.IdentityTokenFile(s.Providers.TokenFile)
	web := stscreds.NewWebIdentityRoleProvider(s.client(nil, s.URL, 1), s.Providers.WebRole, file)
	report("credentials of a web identity token file", func() (any, error) { return s.identity(web) })
	report("credentials of a process", func() (any, error) {
		loaded, err := config.LoadDefaultConfig(background, config.WithSharedConfigProfile(s.Providers.Profile))
		if err != nil {
			return nil, err
		}
		return s.identity(loaded.Credentials)
	})
	report("retry after Throttling", func() (any, error) { return s.crowd(caller) })
}

func (s scenario) client(provider aws.CredentialsProvider, url string, attempts int) *sts.Client {
	return sts.New(sts.Options{
		Region:       s.Region,
		BaseEndpoint: aws.String(url),
		Credentials:  provider,
		Retryer:      retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = attempts }),
	})
}

func (s scenario) identity(provider aws.CredentialsProvider) (any, error) {
	answer, err := s.client(provider, s.URL, 1).GetCallerIdentity(background, nil)
	if err != nil {
		return nil, err
	}
	return *answer.Arn, nil
}

// call finds the method by the operation's name, so that an operation the scenario gains is called here as well.
func (s scenario) call(operation string, input json.RawMessage, caller aws.CredentialsProvider) (any, error) {
	method := reflect.ValueOf(s.client(caller, s.URL, 1)).MethodByName(operation)
	parameters := reflect.New(method.Type().In(1).Elem())
	if err := json.Unmarshal(input, parameters.Interface()); err != nil {
		return nil, err
	}
	returned := method.Call([]reflect.Value{reflect.ValueOf(background), parameters})
	if err, failed := returned[1].Interface().(error); failed {
		return nil, err
	}
	answer := returned[0].Elem()
	for _, name := range []string{"Arn", "Account", "WebIdentityToken"} {
		if member := answer.FieldByName(name); member.IsValid() {
			return member.Interface(), nil
		}
	}
	made := answer.FieldByName("Credentials").Interface().(*types.Credentials)
	return s.identity(credentials.NewStaticCredentialsProvider(*made.AccessKeyId, *made.SecretAccessKey, *made.SessionToken))
}

// crowd makes more calls at once than the quota lets through, and tells the most attempts that one of them took.
func (s scenario) crowd(caller aws.CredentialsProvider) (any, error) {
	client := s.client(caller, s.BusyURL, 6)
	attempts, failures := make([]int, 3), make([]error, 3)
	var all sync.WaitGroup
	for i := range attempts {
		all.Add(1)
		go func() {
			defer all.Done()
			answer, err := client.GetCallerIdentity(background, nil)
			if failures[i] = err; err == nil {
				results, _ := retry.GetAttemptResults(answer.ResultMetadata)
				attempts[i] = len(results.Results)
			}
		}()
	}
	all.Wait()
	return max(attempts[0], attempts[1], attempts[2]), errors.Join(failures...)
}

func report(operation string, call func() (any, error)) {
	line := map[string]any{"operation": operation, "outcome": "ok"}
	result, err := call()
	line["result"] = result
	var failure smithy.APIError
	if errors.As(err, &failure) {
		line["outcome"], line["message"] = failure.ErrorCode(), failure.ErrorMessage()
		line["class"] = reflect.TypeOf(failure).Elem().Name()
	} else if err != nil {
		line["outcome"], line["message"] = "failed", err.Error()
	}
	text, _ := json.Marshal(line)
	fmt.Println(string(text))
}
