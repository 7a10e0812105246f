package systems

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for set, want := range map[Set]string{
		0: "", Linux: "Linux", Linux | FreeBSD: "Linux and FreeBSD", NetBSD | OpenBSD: "NetBSD and OpenBSD",
		Unix &^ Linux: "macOS and the BSDs", All: "Linux, macOS, the BSDs and Windows",
	} {
		if got := set.String(); got != want {
			t.Errorf("%06b is %q, want %q", set, got, want)
		}
	}
	if Current == 0 {
		t.Error("this system is not supported")
	}
}

// The documentation names the systems of the lists.
func TestDocumentation(t *testing.T) {
	docs := documentation(t, "../..")
	onlyIPv6 := func(s Support) Set { return s.IPv6 &^ s.IPv4 }
	notDual := func(s Support) Set { return s.IPv6 &^ s.Dual }
	for _, test := range []struct {
		symbol  string
		systems Set
		words   string // beside the names of the systems
	}{
		{"Metadata", All &^ SendLocal.IPv6, "all on"},
		{"Metadata", All &^ SendTrafficClass.IPv6, "all on"},
		{"Metadata", onlyIPv6(SendInterface), "IfIndex over IPv4 without Local"},
		{"Metadata", onlyIPv6(SendHopLimit), "HopLimit over IPv4"},
		{"Metadata", onlyIPv6(SendTrafficClass), "TrafficClass over IPv4"},
		{"WithMetadata", All &^ ReceiveTime.IPv4, "all on"},
		{"WithMetadata", All &^ ReceiveLocal.IPv4, "all on"},
		{"WithMetadata", onlyIPv6(ReceiveTrafficClass), "MetaTrafficClass over IPv4"},
		{"WithMetadata", notDual(ReceiveLocal), "all but MetaTime for a handle that serves both families"},
		{"WithMetadata", notDual(ReceiveHopLimit), "all but MetaTime for a handle that serves both families"},
		{"WithMetadata", notDual(ReceiveTrafficClass), "all but MetaTime for a handle that serves both families"},
		{"WithReusePort", ReusePort.IPv4, "all but"},
		{"ListenGroup", ReusePort.IPv4, "Only"},
		{"WithSteering", Steering.IPv4, "systems other than"},
		{"WithInterface", BindToDevice.IPv4, "systems other than"},
		{"WithNetworkErrors", NetworkErrors.IPv4, "systems other than"},
		{"WithDontFragment", onlyIPv6(DontFragment), "for IPv4"},
		{"WithDontFragment", notDual(DontFragment), "for a handle that serves both families"},
		{"PathMTU", PathMTU.IPv4, "systems other than"},
	} {
		names, words := "<"+test.systems.String()+">", regexp.QuoteMeta(test.words)
		const between = `[^.,;:<>]{0,20}`
		if !regexp.MustCompile(names + between + words + "|" + words + between + names).MatchString(docs[test.symbol]) {
			t.Errorf("the documentation of %s does not say %q beside %q:\n%s", test.symbol, test.words, test.systems, docs[test.symbol])
		}
	}
}

// documentation returns the documentation of the functions, methods and types of a package, by their names. Lists of
// systems in it stand in angle brackets.
func documentation(t *testing.T, directory string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(directory, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	const system = `(?:Linux|macOS|the BSDs|FreeBSD|NetBSD|OpenBSD|Windows)`
	lists := regexp.MustCompile(`\b` + system + `(?:(?:, | and )` + system + `)*\b`)
	declarations := regexp.MustCompile(`(?m)((?:^//.*\n)+)^(?:func|func \(.*?\)|type) (\w+)`)
	docs := make(map[string]string)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range declarations.FindAllStringSubmatch(string(source), -1) {
			text := strings.Join(strings.Fields(strings.ReplaceAll(d[1], "//", "")), " ")
			docs[d[2]] = lists.ReplaceAllString(text, "<$0>")
		}
	}
	return docs
}
