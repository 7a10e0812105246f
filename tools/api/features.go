package main

import (
	"fmt"
	"go/types"
	"strings"
)

// features returns what a package exports. What a program may rely on has a line of its own, so that a line which is gone is
// an incompatible change, and a new one is not: hence the fields of a struct one by one, but the methods of an interface
// that others can implement together.
func features(pkg *types.Package) (lines []string) {
	add := func(format string, args ...any) {
		lines = append(lines, fmt.Sprintf("pkg %s, %s", pkg.Path(), fmt.Sprintf(format, args...)))
	}
	name := func(t types.Type) string {
		return types.TypeString(unnamed(t), func(p *types.Package) string {
			if p == pkg {
				return ""
			}
			return p.Name()
		})
	}
	for _, n := range pkg.Scope().Names() {
		object := pkg.Scope().Lookup(n)
		if !object.Exported() {
			continue
		}
		switch object := object.(type) {
		case *types.Const:
			add("const %s %s = %s", n, name(object.Type()), object.Val().ExactString())
		case *types.Var:
			add("var %s %s", n, name(object.Type()))
		case *types.Func:
			add("func %s%s", n, strings.TrimPrefix(name(object.Type()), "func"))
		case *types.TypeName:
			if object.IsAlias() {
				add("type %s = %s", n, name(types.Unalias(object.Type())))
				continue
			}
			describe(object, name, add)
		}
	}
	return lines
}

// describe adds the lines of a type.
func describe(object *types.TypeName, name func(types.Type) string, add func(format string, args ...any)) {
	n := object.Name()
	switch t := object.Type().Underlying().(type) {
	case *types.Struct:
		add("type %s struct", n)
		opaque := true
		for field := range t.Fields() {
			if field.Exported() {
				opaque = false
				add("type %s struct, %s %s", n, field.Name(), name(field.Type()))
			}
		}
		if !opaque && types.Comparable(t) {
			add("type %s struct, comparable", n)
		}
	case *types.Interface:
		var methods []string
		open := true
		for method := range t.Methods() {
			if open = open && method.Exported(); method.Exported() {
				methods = append(methods, method.Name()+strings.TrimPrefix(name(method.Type()), "func"))
			}
		}
		if open {
			add("type %s interface { %s }", n, strings.Join(methods, "; "))
			return
		}
		add("type %s interface, unexported methods", n)
		for _, method := range methods {
			add("type %s interface, %s", n, method)
		}
		return
	default:
		add("type %s %s", n, name(t))
	}
	// The method set of a pointer has all methods.
	own := types.NewMethodSet(object.Type())
	for method := range types.NewMethodSet(types.NewPointer(object.Type())).Methods() {
		if !method.Obj().Exported() {
			continue
		}
		star := "*"
		if own.Lookup(nil, method.Obj().Name()) != nil {
			star = ""
		}
		add("method (%s%s) %s%s", star, n, method.Obj().Name(), strings.TrimPrefix(name(method.Type()), "func"))
	}
}

// unnamed returns a type without the names of parameters and results, which no program depends on.
func unnamed(t types.Type) types.Type {
	switch t := t.(type) {
	case *types.Signature:
		if t.TypeParams().Len() > 0 {
			return t
		}
		return types.NewSignatureType(nil, nil, nil, unnamedTuple(t.Params()), unnamedTuple(t.Results()), t.Variadic())
	case *types.Slice:
		return types.NewSlice(unnamed(t.Elem()))
	}
	return t
}

func unnamedTuple(t *types.Tuple) *types.Tuple {
	vars := make([]*types.Var, 0, t.Len())
	for v := range t.Variables() {
		vars = append(vars, types.NewParam(v.Pos(), v.Pkg(), "", unnamed(v.Type())))
	}
	return types.NewTuple(vars...)
}
