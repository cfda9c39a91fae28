package cli

import (
	"io"
	"os"
	"time"
)

// Env is all that a command knows of the world outside it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        []string // key=value, what programs that archipel starts may inherit
	Now            func() time.Time
	Args           []string // what follows it; no secret is ever given so
	Program        string   // how archipel was called, so that what it advises can be pasted
	Dir            string   // where to look for the repository: --dir, or the working directory
}

// processEnv is the Env of this process.
func processEnv(stdin io.Reader, stdout, stderr io.Writer) *Env {
	return &Env{
		Stdin: stdin, Stdout: stdout, Stderr: stderr,
		Getenv: os.Getenv, Environ: os.Environ(), Now: time.Now, Program: os.Args[0], Dir: ".",
	}
}
