// Package store is the only package that talks to the store of Terraform's states: a bucket, and a table of locks.
package store

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // Terraform's own check of a state is an MD5
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	tabletypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// Config says where states are kept.
type Config struct {
	Bucket, Region string
	Endpoint       string // of S3; empty means that of the region
	TableEndpoint  string // of DynamoDB; empty means that of the region
	PathStyle      bool
	Table          string // of locks; empty means that there is none
	Profile        string // of ~/.aws; empty means what the environment says
}

// Store is an opened store. Opening does not connect: the first call does.
type Store struct {
	config Config
	s3     *s3.Client
	table  *dynamodb.Client
}

// Reason is why a store cannot be used.
type Reason int

// The reasons.
const (
	Failed        Reason = iota // anything else
	NoCredentials               // neither the environment nor a profile has any
	Refused                     // the credentials are wrong, or not allowed to do it
	NoBucket
	NoTable
	Unreachable
	Unsupported // the store does not know the call
)

// Error is a call that failed.
type Error struct {
	Reason Reason
	Doing  string
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Doing, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// attempts is low, and answerTime short, because a person waits; what failed is run again.
const (
	attempts   = 2
	answerTime = 15 * time.Second
)

// Open opens a store with the credentials of the environment or of a profile. No service
// of a cloud's machines is asked for them.
func Open(ctx context.Context, c Config) (*Store, error) {
	const doing = "looking for the credentials of the state's store"
	options := []func(*config.LoadOptions) error{
		config.WithRegion(c.Region),
		config.WithEC2IMDSClientEnableState(imds.ClientDisabled),
		config.WithRetryer(func() aws.Retryer { return retry.AddWithMaxAttempts(retry.NewStandard(), attempts) }),
	}
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, &Error{NoCredentials, doing, err}
	}
	if settings.Credentials == nil {
		return nil, &Error{NoCredentials, doing, errors.New("there are none")}
	}
	if _, err := settings.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Error{NoCredentials, doing, errors.New("there are none")}
	}
	s := &Store{config: c}
	s.s3 = s3.NewFromConfig(settings, func(o *s3.Options) {
		o.UsePathStyle = c.PathStyle
		// Many stores that speak S3 know no checksums but those that a call needs.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
	})
	s.table = dynamodb.NewFromConfig(settings, func(o *dynamodb.Options) {
		if c.TableEndpoint != "" {
			o.BaseEndpoint = aws.String(c.TableEndpoint)
		}
	})
	return s, nil
}

// explain gives an error its reason.
func explain(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	e := &Error{Doing: doing, Err: err}
	status := 0
	if answer, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		status = answer.HTTPStatusCode()
	}
	_, network := errors.AsType[net.Error](err)
	api, named := errors.AsType[smithy.APIError](err)
	code := ""
	if named {
		code = api.ErrorCode()
		e.Err = fmt.Errorf("%s: %s", code, strings.TrimSpace(api.ErrorMessage()))
	}
	switch {
	case code == "NoSuchBucket":
		e.Reason = NoBucket
	case code == "ResourceNotFoundException":
		e.Reason = NoTable
	case code == "NotImplemented", status == http.StatusNotImplemented, status == http.StatusMethodNotAllowed:
		e.Reason = Unsupported
	case status == http.StatusForbidden, status == http.StatusUnauthorized, strings.Contains(code, "AccessDenied"),
		code == "UnrecognizedClientException", code == "InvalidSignatureException", code == "InvalidClientTokenId", code == "ExpiredToken", code == "ExpiredTokenException":
		e.Reason = Refused
	case network, errors.Is(err, context.DeadlineExceeded), status == http.StatusBadGateway, status == http.StatusServiceUnavailable:
		e.Reason = Unreachable
		e.Err = cause(err)
	}
	return e
}

// cause is the innermost error of a connection, which says it in the fewest words.
func cause(err error) error {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		return operation
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return lookup
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", answerTime)
	}
	return err
}

// ReasonOf returns the reason of an error of this package, Failed for any other.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return Failed
}

// Ready reports by its error what keeps Terraform from using the store.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	doing := "asking for the bucket " + s.config.Bucket
	// A HEAD is answered without a body, so that its 404 could mean anything.
	_, err := s.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.config.Bucket, MaxKeys: aws.Int32(1)})
	if err := explain(ctx, doing, err); err != nil {
		return err
	}
	if s.config.Table == "" {
		return nil
	}
	return s.tableReady(ctx)
}

func (s *Store) tableReady(ctx context.Context) error {
	doing := "asking for the table " + s.config.Table
	answer, err := s.table.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.config.Table})
	if err := explain(ctx, doing, err); err != nil {
		return err
	}
	for _, key := range answer.Table.KeySchema {
		if aws.ToString(key.AttributeName) != lockKey || key.KeyType != tabletypes.KeyTypeHash || len(answer.Table.KeySchema) != 1 {
			return &Error{Failed, doing, fmt.Errorf("its key is %s, and Terraform needs %s alone", aws.ToString(key.AttributeName), lockKey)}
		}
	}
	return nil
}

// lockKey is the key that Terraform wants a table of locks to have.
const lockKey = "LockID"

// Where a lock is.
const (
	inTable = "table"
	inFile  = "lockfile"
)

// Lock is one that is held.
type Lock struct {
	ID        string    `json:"ID"`
	Operation string    `json:"Operation"`
	Who       string    `json:"Who"`
	Version   string    `json:"Version"`
	Created   time.Time `json:"Created"`
	Where     string    `json:"-"` // table or lockfile
	raw       []byte
}

// Locks returns the locks of a state: that in the table, that beside the state, or none.
func (s *Store) Locks(ctx context.Context, key string) ([]Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var locks []Lock
	add := func(where string, data []byte) {
		lock := Lock{Where: where, raw: data}
		_ = json.Unmarshal(data, &lock) // a lock that nobody can read is held too
		locks = append(locks, lock)
	}
	if s.config.Table != "" {
		item, err := s.item(ctx, s.config.Bucket+"/"+key)
		if err != nil {
			return nil, err
		}
		if info, ok := item["Info"].(*tabletypes.AttributeValueMemberS); ok {
			add(inTable, []byte(info.Value))
		} else if item != nil {
			add(inTable, nil)
		}
	}
	data, _, err := s.get(ctx, key+".tflock")
	if err != nil {
		return nil, err
	}
	if data != nil {
		add(inFile, data)
	}
	return locks, nil
}

// Free frees a lock that Locks has returned, unless it is another one by now.
func (s *Store) Free(ctx context.Context, key string, lock Lock) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	doing := "freeing the lock of " + key
	if lock.Where == inTable {
		input := &dynamodb.DeleteItemInput{
			TableName: &s.config.Table,
			Key:       map[string]tabletypes.AttributeValue{lockKey: &tabletypes.AttributeValueMemberS{Value: s.config.Bucket + "/" + key}},
		}
		if lock.raw != nil {
			input.ConditionExpression = aws.String("Info = :info")
			input.ExpressionAttributeValues = map[string]tabletypes.AttributeValue{":info": &tabletypes.AttributeValueMemberS{Value: string(lock.raw)}}
		}
		_, err := s.table.DeleteItem(ctx, input)
		if code(err) == "ConditionalCheckFailedException" {
			return &Error{Failed, doing, errors.New("somebody else has taken it since")}
		}
		return explain(ctx, doing, err)
	}
	now, _, err := s.get(ctx, key+".tflock")
	if err != nil {
		return err
	}
	if !bytes.Equal(now, lock.raw) {
		return &Error{Failed, doing, errors.New("somebody else has taken it since")}
	}
	_, err = s.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.config.Bucket, Key: aws.String(key + ".tflock")})
	return explain(ctx, doing, err)
}

func (s *Store) item(ctx context.Context, id string) (map[string]tabletypes.AttributeValue, error) {
	answer, err := s.table.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.config.Table, ConsistentRead: aws.Bool(true),
		Key: map[string]tabletypes.AttributeValue{lockKey: &tabletypes.AttributeValueMemberS{Value: id}},
	})
	if err := explain(ctx, "reading the table "+s.config.Table, err); err != nil {
		return nil, err
	}
	return answer.Item, nil
}

// get reads an object, and when it was written; nil when there is none.
func (s *Store) get(ctx context.Context, key string) ([]byte, time.Time, error) {
	doing := fmt.Sprintf("reading %s of the bucket %s", key, s.config.Bucket)
	answer, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.config.Bucket, Key: &key})
	if err != nil {
		if api, ok := errors.AsType[smithy.APIError](err); ok && (api.ErrorCode() == "NoSuchKey" || api.ErrorCode() == "NotFound") {
			return nil, time.Time{}, nil
		}
		return nil, time.Time{}, explain(ctx, doing, err)
	}
	defer answer.Body.Close()
	const most = 256 << 20
	data, err := io.ReadAll(io.LimitReader(answer.Body, most))
	return data, aws.ToTime(answer.LastModified), explain(ctx, doing, err)
}

// State is what a store knows of a state, but for what is in it.
type State struct {
	Serial    int64
	Lineage   string
	Tool      string // version of the program that wrote it
	Resources int
	Size      int
	Written   time.Time
	Backups   int       // earlier versions that the bucket keeps
	Backup    time.Time // when the latest of them was written
	// Torn says that the table expects another content: an upload that did not end, or a
	// state that somebody has put back.
	Torn bool
}

// State returns what there is of a state; nil when there is none.
func (s *Store) State(ctx context.Context, key string) (*State, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	data, written, err := s.get(ctx, key)
	if err != nil {
		return nil, err
	}
	state := &State{Size: len(data), Written: written}
	if err := s.backups(ctx, key, state); err != nil {
		return nil, err
	}
	if s.config.Table != "" {
		item, err := s.item(ctx, s.config.Bucket+"/"+key+"-md5")
		if err != nil {
			return nil, err
		}
		sum := md5.Sum(data) //nolint:gosec // see the import
		if want, ok := item["Digest"].(*tabletypes.AttributeValueMemberS); ok && want.Value != "" {
			state.Torn = data == nil || want.Value != hex.EncodeToString(sum[:])
		}
	}
	if data == nil {
		if state.Backups == 0 && !state.Torn {
			return nil, nil
		}
		return state, nil
	}
	var content struct {
		Serial    int64           `json:"serial"`
		Lineage   string          `json:"lineage"`
		Tool      string          `json:"terraform_version"`
		Resources []resourceCount `json:"resources"`
	}
	if err := json.Unmarshal(data, &content); err != nil {
		return nil, fmt.Errorf("reading the state %s: it is no JSON", key) // the error could quote a secret
	}
	state.Serial, state.Lineage, state.Tool = content.Serial, content.Lineage, content.Tool
	for _, r := range content.Resources {
		if r.Mode == "managed" {
			state.Resources += len(r.Instances)
		}
	}
	return state, nil
}

type resourceCount struct {
	Mode      string     `json:"mode"`
	Instances []struct{} `json:"instances"`
}

// backups counts the earlier versions of a state.
func (s *Store) backups(ctx context.Context, key string, state *State) error {
	pages := s3.NewListObjectVersionsPaginator(s.s3, &s3.ListObjectVersionsInput{Bucket: &s.config.Bucket, Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err := explain(ctx, "listing the versions of "+key, err); err != nil {
			if ReasonOf(err) == Unsupported {
				return nil
			}
			return err
		}
		for _, v := range page.Versions {
			if aws.ToString(v.Key) != key || aws.ToBool(v.IsLatest) {
				continue
			}
			state.Backups++
			if at := aws.ToTime(v.LastModified); at.After(state.Backup) {
				state.Backup = at
			}
		}
	}
	return nil
}
