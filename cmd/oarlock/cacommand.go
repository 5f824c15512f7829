package main

import (
	"context"
	"fmt"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/spf13/cobra"
)

func newCACommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "The certificate authority of a running mesh",
		Args:  knownVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "status",
		Short: "Which authorities the trust domain has",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.caAnswer(cmd.Context(), func(ctx context.Context, m *runningMesh) (*api.CA, error) { return m.plane.CA(ctx) })
		},
	}, newCARotateCommand(a), newCATokenCommand(a))
	return cmd
}

func newCARotateCommand(a *app) *cobra.Command {
	var ask api.Rotate
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the root, without dropping a connection",
		Long: `Replace the root, without dropping a connection: a new root is trusted first
(prepare), then issues (activate), then the old one is forgotten (retire). Without
--step each step is taken as soon as no connection can break by it, which takes
as long as the certificates that were issued before live.

--step takes one of them now and is refused while something could break; --force
takes it all the same, as for a root whose key was stolen.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch ask.Step {
			case "", "prepare", "activate", "retire":
			default:
				return usage(fmt.Errorf("parse flag --step %q: want prepare, activate or retire", ask.Step), "")
			}
			if ask.Force && ask.Step != "activate" && ask.Step != "retire" {
				return usage(fmt.Errorf("run ca rotate --force: it is for --step activate or retire"), "")
			}
			return a.caAnswer(cmd.Context(), func(ctx context.Context, m *runningMesh) (*api.CA, error) {
				m.sign()
				out, err := m.plane.Rotate(ctx, ask)
				if err != nil {
					return nil, refused(err, "oarlock ca status")
				}
				return out, nil
			})
		},
	}
	cmd.Flags().StringVar(&ask.Step, "step", "", "take this `STEP` alone: prepare, activate or retire")
	cmd.Flags().BoolVar(&ask.Force, "force", false, "also where connections may break")
	must(cmd.RegisterFlagCompletionFunc("step", cobra.FixedCompletions([]string{"prepare", "activate", "retire"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// caAnswer asks and prints the authorities.
func (a *app) caAnswer(ctx context.Context, ask func(context.Context, *runningMesh) (*api.CA, error)) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	m, err := a.attach(ctx, "ca")
	if err != nil {
		return noMesh("ca", err)
	}
	defer m.close()
	c, err := ask(ctx, m)
	if err != nil {
		return asFailure(err, exitUnreadable)
	}
	if format == "json" || format == "yaml" {
		return a.print(format, c)
	}
	tab := a.table(plainPadding, "SLOT", "AUTHORITY", "ORIGIN", "SINCE", "NOT AFTER", "NEXT STEP")
	if format != "wide" {
		narrowCA(tab)
	}
	for _, one := range c.Authorities {
		tab.add(one.Slot, one.Fingerprint, one.Origin, instant(one.Since), instant(one.NotAfter), nextWord(c, one))
	}
	return tab.write(a.stdout)
}

// narrowCA says what a narrow terminal does without: of the end the day stays.
func narrowCA(t *table) {
	t.optional, t.spare = []string{"NEXT STEP"}, []string{"ORIGIN", "SINCE"}
	t.cuts = []cut{{"SLOT", 8, keepStart}, {"NOT AFTER", 11, keepStart}, {"AUTHORITY", 9, keepStart}, {"NEXT STEP", 44, keepStart}}
}

// nextWord says what comes of an authority, and when it is safe.
func nextWord(c *api.CA, one api.Authority) string {
	step := map[string]string{"prepared": "activate", "old": "retire"}[one.Slot]
	if step == "" {
		return "-"
	}
	when := "from " + instant(one.Next) + " on"
	if !time.Now().Before(one.Next) {
		when = "now"
	}
	if c.Rotating {
		return step + " by itself, " + when
	}
	return step + ", " + when
}

// instant is a time of a certificate.
func instant(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
