package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	tabletypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Step is one thing that Init saw to.
type Step struct {
	What    string // such as "bucket archipel-state"
	Changed bool   // it was not so before
	Missing string // why the store cannot have it so; empty when it has
}

// Init makes what states and locks need, where it is missing: a bucket that keeps versions,
// is encrypted and private, and the table of locks. Each step is told once it is done.
func (s *Store) Init(ctx context.Context, told func(Step)) error {
	created, err := s.makeBucket(ctx)
	if err != nil {
		return err
	}
	told(Step{What: "bucket " + s.config.Bucket, Changed: created})
	for _, step := range []struct {
		what string
		do   func(context.Context) (bool, error)
	}{
		{"versions are kept", s.keepVersions},
		{"encrypted", s.encrypt},
		{"private", s.closeBucket},
	} {
		changed, err := step.do(ctx)
		if ReasonOf(err) == Unsupported {
			told(Step{What: step.what, Missing: "the store does not offer it"})
			continue
		}
		if err != nil {
			return err
		}
		told(Step{What: step.what, Changed: changed})
	}
	if s.config.Table == "" {
		return nil
	}
	changed, err := s.makeTable(ctx)
	if err != nil {
		return err
	}
	told(Step{What: "table " + s.config.Table, Changed: changed})
	return nil
}

func (s *Store) makeBucket(ctx context.Context) (bool, error) {
	err := s.bucketReady(ctx)
	if ReasonOf(err) != NoBucket {
		return false, err
	}
	input := &s3.CreateBucketInput{Bucket: &s.config.Bucket}
	// The oldest region is the only one that must not be named.
	if s.config.Region != "us-east-1" {
		input.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(s.config.Region)}
	}
	_, err = s.s3.CreateBucket(ctx, input)
	return true, explain(ctx, "making the bucket "+s.config.Bucket, err)
}

func (s *Store) bucketReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := s.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.config.Bucket, MaxKeys: aws.Int32(1)})
	return explain(ctx, "asking for the bucket "+s.config.Bucket, err)
}

// Versioned says whether the bucket keeps the earlier versions of a state.
func (s *Store) Versioned(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer, err := s.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.config.Bucket})
	if err := explain(ctx, "asking whether the bucket keeps versions", err); err != nil {
		return false, err
	}
	return answer.Status == types.BucketVersioningStatusEnabled, nil
}

func (s *Store) keepVersions(ctx context.Context) (bool, error) {
	if on, err := s.Versioned(ctx); on || err != nil {
		return false, err
	}
	_, err := s.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: &s.config.Bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	return true, explain(ctx, "making the bucket keep versions", err)
}

// Encrypted says whether the bucket encrypts what it is given.
func (s *Store) Encrypted(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer, err := s.s3.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &s.config.Bucket})
	if code(err) == "ServerSideEncryptionConfigurationNotFoundError" {
		return false, nil
	}
	if err := explain(ctx, "asking whether the bucket is encrypted", err); err != nil {
		return false, err
	}
	return answer.ServerSideEncryptionConfiguration != nil && len(answer.ServerSideEncryptionConfiguration.Rules) > 0, nil
}

func (s *Store) encrypt(ctx context.Context) (bool, error) {
	if on, err := s.Encrypted(ctx); on || err != nil { // the owner may have chosen a key
		return false, err
	}
	_, err := s.s3.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
		Bucket: &s.config.Bucket,
		ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{
			{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256}},
		}},
	})
	return true, explain(ctx, "making the bucket encrypt", err)
}

// Private says whether nobody can open the bucket to everybody.
func (s *Store) Private(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer, err := s.s3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &s.config.Bucket})
	if code(err) == "NoSuchPublicAccessBlockConfiguration" {
		return false, nil
	}
	if err := explain(ctx, "asking who may read the bucket", err); err != nil {
		return false, err
	}
	block := answer.PublicAccessBlockConfiguration
	return block != nil && aws.ToBool(block.BlockPublicAcls) && aws.ToBool(block.BlockPublicPolicy) &&
		aws.ToBool(block.IgnorePublicAcls) && aws.ToBool(block.RestrictPublicBuckets), nil
}

func (s *Store) closeBucket(ctx context.Context) (bool, error) {
	if on, err := s.Private(ctx); on || err != nil {
		return false, err
	}
	yes := aws.Bool(true)
	_, err := s.s3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
		Bucket: &s.config.Bucket,
		PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
			BlockPublicAcls: yes, BlockPublicPolicy: yes, IgnorePublicAcls: yes, RestrictPublicBuckets: yes,
		},
	})
	return true, explain(ctx, "making the bucket private", err)
}

func (s *Store) makeTable(ctx context.Context) (bool, error) {
	err := s.tableReady(ctx)
	if ReasonOf(err) != NoTable {
		return false, err
	}
	doing := "making the table " + s.config.Table
	_, err = s.table.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &s.config.Table, BillingMode: tabletypes.BillingModePayPerRequest,
		AttributeDefinitions: []tabletypes.AttributeDefinition{{AttributeName: aws.String(lockKey), AttributeType: tabletypes.ScalarAttributeTypeS}},
		KeySchema:            []tabletypes.KeySchemaElement{{AttributeName: aws.String(lockKey), KeyType: tabletypes.KeyTypeHash}},
	})
	if err != nil {
		return false, explain(ctx, doing, err)
	}
	const longest = 2 * time.Minute
	err = dynamodb.NewTableExistsWaiter(s.table).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &s.config.Table}, longest)
	return true, explain(ctx, doing, err)
}

// Honours says whether the store refuses to write what is there already when it is asked
// to: without that, two programs can hold the same lock file. It writes, writes again,
// deletes and writes an object that nothing else uses.
func (s *Store) Honours(ctx context.Context, key string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerTime)
	defer cancel()
	put := func() (bool, error) {
		_, err := s.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.config.Bucket, Key: &key, IfNoneMatch: aws.String("*")})
		if answer, ok := errors.AsType[interface {
			error
			HTTPStatusCode() int
		}](err); ok && (answer.HTTPStatusCode() == http.StatusPreconditionFailed || answer.HTTPStatusCode() == http.StatusConflict) {
			return false, nil
		}
		return err == nil, explain(ctx, "trying a conditional write", err)
	}
	remove := func() error {
		_, err := s.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.config.Bucket, Key: &key})
		return explain(ctx, "deleting "+key, err)
	}
	for _, step := range []struct {
		want   bool
		reason string
	}{
		{true, "it refuses to write what is not there"},
		{false, "it writes over what is there: two could hold the same lock"},
		{true, "it refuses to write what was deleted: a lock could be taken once only"},
	} {
		written, err := put()
		if ReasonOf(err) == Unsupported {
			return "it does not know conditional writes", nil
		}
		if err != nil {
			return "", err
		}
		if written != step.want {
			return step.reason, remove()
		}
		if !step.want {
			if err := remove(); err != nil {
				return "", err
			}
		}
	}
	return "", remove()
}

// code is the name of the error that the store answered with.
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// String names the store, for a person.
func (s *Store) String() string {
	if s.config.Endpoint == "" {
		return fmt.Sprintf("the bucket %s in %s", s.config.Bucket, s.config.Region)
	}
	return fmt.Sprintf("the bucket %s at %s", s.config.Bucket, s.config.Endpoint)
}
